"""Scores predicted masks and probabilities against references: per case, per lesion, by size, and over cases."""

import importlib

# Loaded when first used: a worker process that scores masks needs none of pandas, scikit-learn or torch.
_HOMES = {
    "Evaluation": "records",
    "Froc": "froc",
    "PROTOCOLS": "protocols",
    "Protocol": "protocols",
    "Rule": "protocols",
    "evaluate_folder": "folder",
    "evaluate_probabilities": "froc_folder",
    "read_evaluation": "records",
    "read_froc": "froc",
    "write_evaluation": "records",
    "write_froc": "froc",
}
__all__ = [*_HOMES]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
