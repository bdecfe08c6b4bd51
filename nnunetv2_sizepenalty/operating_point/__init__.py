"""The operating point: threshold and smallest lesion, chosen on validation cases, applied to probabilities or baked
into a model."""

import importlib

# Loaded when first used, so that who needs a formula doesn't load nnU-Net.
_HOMES = {
    "Cut": "grid",
    "ENSEMBLE": "point",
    "Objective": "objective",
    "OperatingPoint": "point",
    "Prediction": "predict",
    "ThresholdGrid": "grid",
    "apply_folder": "apply",
    "bake_folder": "bake",
    "choose_operating_point": "search",
    "choose_operating_points": "search",
    "make_grid": "grid",
    "read_operating_point": "point",
}
__all__ = [*_HOMES]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
