"""Folders that nnU-Net predicted into, told from folders of references."""

from collections.abc import Iterable
from pathlib import Path

from nnunetv2_sizepenalty.nnunet_io.file_names import PLANS_JSON, PREDICTION_ARGUMENTS, SUMMARY, VALIDATION


def sign_of_predictions(folder: Path, cases: Iterable[str]) -> str | None:
    """Names the file that gives a folder of masks away as predictions, or None.

    `nnUNetv2_predict` leaves its arguments and plans.json (which `apply` copies, and so does nnU-Net for all folds
    together), saved probabilities lie beside their case, and a training's `validation` holds nnU-Net's summary. An
    ensemble without probabilities leaves no sign.
    """
    names = [PREDICTION_ARGUMENTS, PLANS_JSON, *(f"{case}.npz" for case in cases)]
    if folder.resolve().name == VALIDATION:
        names.append(SUMMARY)
    return next((name for name in names if (folder / name).is_file()), None)
