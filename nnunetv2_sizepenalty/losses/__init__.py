"""Losses: Dice, Tversky, focal, cross-entropies and the size penalty from one pass over the voxels.

Imports torch alone, and that when a name that needs it is asked for: the tables of `terms` and S as a value
(`size_term`) need none.
"""
# ruff: noqa: F401 names for editors, which `__getattr__` finds

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nnunetv2_sizepenalty.losses.compound import CompoundLoss, build_loss
    from nnunetv2_sizepenalty.losses.deep_supervision import DeepSupervision
    from nnunetv2_sizepenalty.losses.gradients import logit_gradient_norms
    from nnunetv2_sizepenalty.losses.parameters import Parameters
    from nnunetv2_sizepenalty.losses.record import Record
    from nnunetv2_sizepenalty.losses.size_penalty import SizePenaltyLoss
    from nnunetv2_sizepenalty.losses.size_term import Gate, Millilitres, SizeTerm
    from nnunetv2_sizepenalty.losses.size_weighted import SizeWeightedCrossEntropy
    from nnunetv2_sizepenalty.losses.target_layout import TargetLayout
    from nnunetv2_sizepenalty.losses.terms import (
        COMMON_COMBINATIONS,
        TERMS,
        Term,
        is_combination,
        spelling,
        term_weights,
    )

_MODULES = {
    "COMMON_COMBINATIONS": "terms",
    "CompoundLoss": "compound",
    "DeepSupervision": "deep_supervision",
    "Gate": "size_term",
    "Millilitres": "size_term",
    "Parameters": "parameters",
    "Record": "record",
    "SizePenaltyLoss": "size_penalty",
    "SizeTerm": "size_term",
    "SizeWeightedCrossEntropy": "size_weighted",
    "TERMS": "terms",
    "TargetLayout": "target_layout",
    "Term": "terms",
    "build_loss": "compound",
    "is_combination": "terms",
    "logit_gradient_norms": "gradients",
    "spelling": "terms",
    "term_weights": "terms",
}

__all__ = list(_MODULES)


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
