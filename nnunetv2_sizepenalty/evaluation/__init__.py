"""Scores of predicted masks against references: per case, per lesion, by size, with what is undefined said."""

from nnunetv2_sizepenalty.evaluation.folder import evaluate_folder
from nnunetv2_sizepenalty.evaluation.protocols import PROTOCOLS, Protocol, Rule
from nnunetv2_sizepenalty.evaluation.records import Evaluation, read_evaluation, write_evaluation

__all__ = ["PROTOCOLS", "Evaluation", "Protocol", "Rule", "evaluate_folder", "read_evaluation", "write_evaluation"]
