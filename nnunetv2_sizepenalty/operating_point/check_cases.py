"""What is refused before anything is predicted, counted or written."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from batchgenerators.utilities.file_and_folder_operations import load_pickle

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.lesions import PX, size_unit
from nnunetv2_sizepenalty.nnunet_io.file_names import SPLITS
from nnunetv2_sizepenalty.nnunet_io.fold_folder import validated_cases, validation_summary
from nnunetv2_sizepenalty.nnunet_io.folds import read_folds
from nnunetv2_sizepenalty.nnunet_io.model_folder import ModelFolder
from nnunetv2_sizepenalty.nnunet_io.probabilities import read_probabilities
from nnunetv2_sizepenalty.nnunet_io.spacing import same_grid, spacing_of
from nnunetv2_sizepenalty.operating_point.objective import Objective
from nnunetv2_sizepenalty.operating_point.validation_case import ValidationCase
from nnunetv2_sizepenalty.parallel import map_cases


def check_held_out(model: ModelFolder, fold: str) -> None:
    """Raises UserError where the fold's checkpoint was, or may have been, trained on the cases that it validates."""
    trainer, plans, configuration = model.identifier
    command = f"nnUNetv2_train {model.dataset} {configuration} FOLD -tr {trainer} -p {plans} --npz"
    if fold == "all":
        raise UserError(
            f"{model.fold_folder(fold)} trained on the cases that it validates, so thresholds chosen there are worth "
            f"nothing: `{command}` (FOLD 0 to 4) makes held-out probabilities, choose on those with -f 0 1 2 3 4"
        )
    folds = read_folds(model.preprocessed) or ()
    if fold.isdigit() and int(fold) < len(folds):
        parts = folds[int(fold)]
        if both := sorted({*parts.train} & {*parts.val}):
            raise UserError(
                f"fold {fold} trains on {len(both)} of the cases that it validates, such as {both[0]}: mend "
                f"{model.preprocessed / SPLITS}, then `{command}` makes held-out probabilities"
            )
        if validation_summary(model.fold_folder(fold)).is_file():
            validated = validated_cases(model.fold_folder(fold), model.dataset_json["file_ending"])
            if new := sorted({*parts.val} - {*validated}):
                raise UserError(
                    f"{model.preprocessed / SPLITS} has changed since fold {fold} was validated: it may have trained "
                    f"on {new[0]}, which is to be chosen on; put the split back, or train anew with `{command}`"
                )


def check_same_cases(models: Sequence[ModelFolder], folds: Sequence[str]) -> None:
    """Raises UserError where the probabilities of several models can't be averaged case by case."""
    first, *others = models
    for other in others:
        if other.dataset != first.dataset:
            raise UserError(f"{other.path} is of {other.dataset}, {first.path} of {first.dataset}: name one dataset's")
        if other.labels != first.labels:
            raise UserError(f"{other.path} has other labels in dataset.json than {first.path}: name models of the same")
        for fold in folds:
            if other.validation_cases(fold) != first.validation_cases(fold):
                raise UserError(
                    f"fold {fold} of {other.path} validates other cases than that of {first.path}: train both with "
                    "the same splits_final.json"
                )


def check_cases(cases: Sequence[ValidationCase], objectives: Sequence[Objective], processes: int) -> None:
    """Reads every case that isn't counted yet, and its probabilities where it isn't to be predicted.

    Raises:
        UserError: a file is unusable, or a class has no lesion in any reference.
    """
    needs_ml = any(objective.score == "size_penalty" for objective in objectives)
    names = [label.name for label in cases[0].labels]
    stored = [case.load() for case in cases]
    lesions = [[counts[name].calibration.reference for name in names] for counts in stored if counts]
    todo = [case for case, counts in zip(cases, stored, strict=True) if not counts]
    lesions += map_cases(partial(_check, needs_ml), todo, processes=processes, description="checking")
    if empty := [name for name, voxels in zip(names, np.sum(lesions, axis=0), strict=True) if not voxels]:
        raise UserError(
            f"no reference in {cases[0].reference.parent} holds a lesion of {', '.join(empty)}: there is nothing to "
            "choose on; name other folds with -f or classes with --class"
        )


def _check(needs_ml: bool, case: ValidationCase) -> list[int]:
    """Checks one case; returns the lesion voxels of each class."""
    segmentation, properties = case.models[0].reader().read_seg(str(case.reference))
    segmentation, labels = segmentation[0], case.models[0].labels
    if unknown := labels.unknown(segmentation):
        raise UserError(
            f"{case.reference} holds the values {unknown}, which dataset.json doesn't know: mend one of them"
        )
    if needs_ml and size_unit(spacing_of(properties)) == PX:
        raise UserError(f"{case.reference} has no spacing and so no mL, which size_penalty needs: choose for rve")
    if case.prediction is None:
        for path in case.origins:
            read_probabilities(path, (labels.n_channels, *segmentation.shape))
            _check_grid(path, case.reference, properties)
    valid = True if labels.ignore is None else segmentation != labels.ignore
    return [int(np.count_nonzero(label.mask(segmentation) & valid)) for label in case.labels]


def _check_grid(probabilities: Path, reference: Path, properties: dict) -> None:
    """Compares the reference's place with that of the image, which nnU-Net writes beside the probabilities."""
    beside = probabilities.with_suffix(".pkl")
    if beside.is_file() and not same_grid(load_pickle(str(beside)), properties):
        raise UserError(
            f"{probabilities} lies on another grid (spacing, origin or direction) than {reference}: it belongs to "
            "another image; write it anew or name the references' folder with -ref"
        )
