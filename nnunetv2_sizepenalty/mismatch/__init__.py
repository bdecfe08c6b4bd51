"""The ADC-DWI mismatch channel: its one formula, and the transform that recomputes it. Imports nothing of ours.

`RecomputeMismatch` is imported when it is first asked for: conversion needs the formula without torch.
"""

from nnunetv2_sizepenalty.mismatch.formula import CHANNELS, PERCENTILES, mismatch_of, scale_to_unit

__all__ = ["CHANNELS", "PERCENTILES", "RecomputeMismatch", "mismatch_of", "scale_to_unit"]


def __getattr__(name: str):
    if name == "RecomputeMismatch":
        from nnunetv2_sizepenalty.mismatch.transform import RecomputeMismatch

        return RecomputeMismatch
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
