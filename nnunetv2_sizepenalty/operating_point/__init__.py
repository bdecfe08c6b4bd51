"""The operating point: threshold and smallest lesion, chosen on validation cases, applied to probabilities or baked
into a model."""

from nnunetv2_sizepenalty.operating_point.apply import apply_folder
from nnunetv2_sizepenalty.operating_point.bake import bake_folder
from nnunetv2_sizepenalty.operating_point.candidates import Candidates, dense_thresholds
from nnunetv2_sizepenalty.operating_point.model_folder import ModelFolder
from nnunetv2_sizepenalty.operating_point.point import ENSEMBLE, Cut, OperatingPoint, read_operating_point
from nnunetv2_sizepenalty.operating_point.probabilities import Prediction
from nnunetv2_sizepenalty.operating_point.scores import Objective
from nnunetv2_sizepenalty.operating_point.threshold import choose_operating_point

__all__ = [
    "ENSEMBLE",
    "Candidates",
    "Cut",
    "ModelFolder",
    "Objective",
    "OperatingPoint",
    "Prediction",
    "apply_folder",
    "bake_folder",
    "choose_operating_point",
    "dense_thresholds",
    "read_operating_point",
]
