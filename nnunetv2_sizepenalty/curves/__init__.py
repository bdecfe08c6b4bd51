"""What maps of probabilities are worth at every threshold: FROC, lesion-wise average precision, calibration."""

import importlib

# Loaded when first used: a worker process needs `score_maps` alone.
_HOMES = {"Froc": "froc", "evaluate_probabilities": "froc_folder", "read_froc": "froc", "write_froc": "froc"}
__all__ = [*_HOMES]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
