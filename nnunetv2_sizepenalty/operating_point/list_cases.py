"""The folds and their validation cases, on which an operating point is chosen."""

import os
from collections.abc import Sequence
from pathlib import Path

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation.protocols import Rule
from nnunetv2_sizepenalty.nnunet_io.classes import Label
from nnunetv2_sizepenalty.nnunet_io.fold_folder import fold_name, saved_probabilities
from nnunetv2_sizepenalty.nnunet_io.model_folder import ModelFolder
from nnunetv2_sizepenalty.operating_point.check_cases import check_held_out, check_same_cases
from nnunetv2_sizepenalty.operating_point.choose import check_cross_fit
from nnunetv2_sizepenalty.operating_point.grid import ThresholdGrid
from nnunetv2_sizepenalty.operating_point.predict import Prediction
from nnunetv2_sizepenalty.operating_point.validation_case import ValidationCase

FOLDER, COUNTS, PREDICTED = "operating_point", "counts", "predicted"


def choose_folds(
    models: Sequence[ModelFolder], folds: Sequence[str] | None, checkpoint: str, with_cross_fit: bool
) -> tuple[str, ...]:
    """Finds the folds: those named, else all but "all".

    Raises:
        UserError: they can't choose, because there are none, too few, or their checkpoints trained on their cases.
    """
    there = models[0].folds()
    folds = tuple(folds or [fold for fold in there if fold != "all"] or there)
    if not folds:
        raise UserError(f"{models[0].path} has no fold_* folder: train a fold first")
    for model in models:
        for fold in folds:
            check_held_out(model, fold)
        model.check_same_labels(folds, checkpoint)
    if len(models) > 1:
        check_same_cases(models, folds)
    if with_cross_fit:
        check_cross_fit({fold: models[0].validation_cases(fold) for fold in folds})
    return folds


def list_cases(
    models: Sequence[ModelFolder],
    folds: Sequence[str],
    labels: tuple[Label, ...],
    grid: ThresholdGrid,
    detection: Rule,
    prediction: Prediction | None,
    output: Path,
) -> list[ValidationCase]:
    """Lists the cases, where their probabilities come from, and where their counts go.

    Raises:
        UserError: a file is missing.
    """
    own = len(models) == 1 and os.access(models[0].path, os.W_OK)
    store = (models[0].path / FOLDER if own else output) / COUNTS
    cases = []
    for fold in folds:
        origins = [_origins(model, fold, prediction) for model in models]
        for case in models[0].validation_cases(fold):
            files = tuple(of_model[case] for of_model in origins)
            cases.append(
                ValidationCase(
                    models=tuple(models),
                    fold=fold,
                    name=case,
                    labels=labels,
                    grid=grid,
                    detection=detection,
                    reference=models[0].reference_file(case),
                    origins=files,
                    prediction=prediction,
                    store=store / fold_name(fold) / f"{case}.npz",
                    predicted=output / PREDICTED,
                )
            )
    return cases


def _origins(model: ModelFolder, fold: str, prediction: Prediction | None) -> dict[str, Path]:
    """Finds the file that each case's probabilities come from.

    Raises:
        UserError: a file is missing; the line holds the command that writes it.
    """
    cases = model.validation_cases(fold)
    folder = model.fold_folder(fold)
    if prediction is not None:
        checkpoint = folder / prediction.checkpoint
        if not checkpoint.is_file():
            raise UserError(f"{checkpoint} is missing: train the fold, or name another checkpoint with -chk")
        return dict.fromkeys(cases, checkpoint)
    origins = {case: saved_probabilities(folder, case) for case in cases}
    if missing := [case for case, path in origins.items() if not path.is_file()]:
        trainer, plans, configuration = model.identifier
        command = f"nnUNetv2_train {model.dataset} {configuration} {fold} -tr {trainer} -p {plans} --val --npz"
        raise UserError(
            f"fold {fold} has no probabilities for {len(missing)} of its {len(cases)} validation cases, such as "
            f"{origins[missing[0]]}: write them with `{command}`, or add --predict"
        )
    return origins
