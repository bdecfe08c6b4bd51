"""Scores predicted masks against references: per case, per lesion, by size, and over cases."""

import importlib

# Loaded when first used: a worker process that scores masks needs none of pandas, scikit-learn or torch.
_HOMES = {
    "Evaluation": "evaluation.records",
    "PROTOCOLS": "evaluation.protocols",
    "Protocol": "evaluation.protocols",
    "Rule": "evaluation.protocols",
    "evaluate_folder": "evaluation.folder",
    "read_evaluation": "evaluation.records",
    "write_evaluation": "evaluation.records",
    # 0.1.0 had these here.
    "Froc": "curves",
    "evaluate_probabilities": "curves",
    "read_froc": "curves",
    "write_froc": "curves",
}
__all__ = [*_HOMES]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"nnunetv2_sizepenalty.{_HOMES[name]}"), name)
