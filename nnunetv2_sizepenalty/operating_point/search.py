"""The search: from a results folder to operating_point.json by counting, choosing and writing."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from nnunetv2_sizepenalty import __version__
from nnunetv2_sizepenalty.atomic import atomic_file
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation.calibration import summarise_calibration
from nnunetv2_sizepenalty.nnunet_io.file_names import FINAL
from nnunetv2_sizepenalty.nnunet_io.fold_folder import fold_name, saved_probabilities
from nnunetv2_sizepenalty.nnunet_io.model_folder import ModelFolder
from nnunetv2_sizepenalty.nnunet_io.probabilities import VALIDATION_STEP
from nnunetv2_sizepenalty.operating_point.choose import choose, cross_fit
from nnunetv2_sizepenalty.operating_point.count_cases import ClassCounts, ValidationCase, count_cases
from nnunetv2_sizepenalty.operating_point.figure import draw
from nnunetv2_sizepenalty.operating_point.grid import Grid
from nnunetv2_sizepenalty.operating_point.point import (
    ENSEMBLE,
    FILE,
    FORMAT,
    ChosenModel,
    ClassPoint,
    OperatingPoint,
    Source,
)
from nnunetv2_sizepenalty.operating_point.predict import Prediction
from nnunetv2_sizepenalty.operating_point.scores import Objective, Scores

FIGURE, COUNTS = "operating_point.png", "counts"


def choose_operating_point(
    model: ModelFolder,
    output: Path,
    *,
    folds: Sequence[str] | None = None,
    grid: Grid | None = None,
    objective: Objective | None = None,
    classes: list[str] | None = None,
    prediction: Prediction | None = None,
    checkpoint: str = FINAL,
    with_cross_fit: bool = False,
    processes: int = 1,
) -> OperatingPoint:
    """Chooses on the folds' validation cases and writes operating_point.json, a figure and the counts of each case.

    Args:
        output: folder; counts of an earlier run that still hold are used again.
        folds: all in the results folder when None.
        grid: the thesis's when None.
        objective: mean Dice when None.
        classes: names of classes or regions, all when None.
        prediction: predicts the cases; None reads the .npz that nnU-Net's validation wrote.
        checkpoint: the one whose predictions the .npz are.
        with_cross_fit: also chooses for each fold on the others.
        processes: cases at a time.

    Raises:
        UserError: something is missing, unreadable or doesn't fit together.
    """
    grid, objective = grid or Grid(), objective or Objective()
    folds = tuple(folds or model.folds())
    if not folds:
        raise UserError(f"{model.path} has no fold_* folder: train a fold first")
    if prediction is not None:
        checkpoint = prediction.checkpoint
    model.check_same_labels(folds, checkpoint)
    labels = model.labels.named(classes)
    cases = [
        ValidationCase(model, fold, case, labels, grid, model.reference_file(case), origin, prediction, store)
        for fold in folds
        for case, origin in _origins(model, fold, prediction).items()
        for store in [output / COUNTS / fold_name(fold) / f"{case}.npz"]
    ]
    chosen_model = _describe(model)
    _check_writable(output)
    counted = count_cases(cases, processes)
    point = OperatingPoint(
        format=FORMAT,
        version=__version__,
        model=chosen_model,
        objective=str(objective),
        better="higher" if objective.sign > 0 else "lower",
        candidates=grid,
        source=Source(
            probabilities="npz" if prediction is None else "predicted",
            checkpoint=checkpoint,
            step_size=VALIDATION_STEP if prediction is None else prediction.step_size,
            references=str(cases[0].reference.parent),
            cases={fold: tuple(case.name for case in cases if case.fold == fold) for fold in folds},
        ),
        classes={
            label.name: _choose_class(label.values, counted[label.name], grid, objective, with_cross_fit)
            for label in labels
        },
        path=output / FILE,
    )
    point.write()
    with atomic_file(output / FIGURE) as path:
        draw(point, path)
    return point


def _describe(model: ModelFolder) -> ChosenModel:
    trainer, plans, configuration = model.identifier
    order = model.dataset_json.get("regions_class_order") if model.labels.regions else None
    return ChosenModel(
        folder=str(model.path.resolve()),
        dataset=model.dataset,
        trainer=trainer,
        plans=plans,
        configuration=configuration,
        labels=model.dataset_json["labels"],
        regions_class_order=None if order is None else tuple(order),
    )


def _choose_class(
    values: tuple[int, ...],
    counted: Mapping[str, Mapping[str, ClassCounts]],
    grid: Grid,
    objective: Objective,
    with_cross_fit: bool,
) -> ClassPoint:
    """Chooses for one class; `counted` is fold -> case -> counts."""
    counts = {fold: {case: c.candidates for case, c in cases.items()} for fold, cases in counted.items()}
    every = [c for cases in counted.values() for c in cases.values()]
    scores = {ENSEMBLE: Scores.of([c.candidates for c in every], grid)}
    scores |= {fold: Scores.of(list(of_fold.values()), grid) for fold, of_fold in counts.items()}
    choices = {name: choose(of_name, objective) for name, of_name in scores.items()}
    return ClassPoint(
        values=values,
        ensemble=choices.pop(ENSEMBLE),
        folds=choices,
        cross_fit=cross_fit(counts, grid, objective) if with_cross_fit else None,
        calibration=summarise_calibration([c.calibration for c in every]),
        table=[{"fold": name, **row} for name, of_name in scores.items() for row in of_name.rows()],
    )


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


def _check_writable(output: Path) -> None:
    """Finds out before the work whether the results can be written."""
    with atomic_file(output / COUNTS / ".writable") as path:
        path.touch()
    (output / COUNTS / ".writable").unlink()
