"""Losses: Dice, Tversky, focal, cross-entropies and the size penalty in one look at the voxels. Imports torch alone."""

from nnunetv2_sizepenalty.losses.compound import CompoundLoss, build_loss
from nnunetv2_sizepenalty.losses.deep_supervision import DeepSupervision
from nnunetv2_sizepenalty.losses.diagnostics import Record, logit_gradient_norms
from nnunetv2_sizepenalty.losses.letters import COMBINATIONS, LETTERS, Letter, term_weights
from nnunetv2_sizepenalty.losses.size_penalty import SizePenaltyLoss
from nnunetv2_sizepenalty.losses.size_term import Gate, SizeTerm

__all__ = [
    "COMBINATIONS",
    "LETTERS",
    "CompoundLoss",
    "DeepSupervision",
    "Gate",
    "Letter",
    "Record",
    "SizePenaltyLoss",
    "SizeTerm",
    "build_loss",
    "logit_gradient_norms",
    "term_weights",
]
