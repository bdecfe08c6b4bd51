"""Metrics that have no value in some cases: what is left out for both models, and what must not be.

A surface distance of an empty prediction is undefined: a model that fails on the hard cases would be compared on the
easy ones alone, where it survives. So a verdict must hold twice: where both have a value, and where the undefined ones
take the worst value that either of the two has.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Readings:
    """One metric of two models, values (repeats, cases) of each, NaN where a case is not compared.

    Attributes:
        known: where both have a value.
        filled: with the worst value for what is undefined through the prediction; None where nothing is.
        left_out: cases without a value because their reference is empty.
        baseline_undefined, model_undefined: cases that a model leaves undefined, in any of its repeats.
    """

    known: tuple[np.ndarray, np.ndarray]
    filled: tuple[np.ndarray, np.ndarray] | None
    left_out: int
    baseline_undefined: int
    model_undefined: int


def read_values(baseline: np.ndarray, model: np.ndarray, empty_reference: np.ndarray, better: int) -> Readings:
    """Sorts out the undefined values.

    Args:
        baseline, model: values (repeats, cases).
        empty_reference: of each case, bool (cases,).
        better: +1 where higher is better, -1 where lower is.
    """
    undefined = [np.isnan(values) for values in (baseline, model)]
    out = empty_reference & np.any([missing.any(axis=0) for missing in undefined], axis=0)
    known = tuple(np.where(out, np.nan, values) for values in (baseline, model))
    lost = [missing & ~empty_reference for missing in undefined]
    filled = None
    if any(missing.any() for missing in lost):
        values = np.concatenate([v[:, ~empty_reference].ravel() for v in known])
        values = values[~np.isnan(values)]
        worst = (values.min() if better > 0 else values.max()) if len(values) else np.nan
        filled = tuple(np.where(missing, worst, v) for missing, v in zip(lost, known, strict=True))
    counts = [int(missing.any(axis=0).sum()) for missing in lost]
    return Readings(known, filled, int(out.sum()), *counts)
