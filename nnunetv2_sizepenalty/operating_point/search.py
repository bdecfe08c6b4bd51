"""The search: from results folders to operating_point.json by counting, choosing and writing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nnunetv2_sizepenalty import __version__
from nnunetv2_sizepenalty.atomic import atomic_file
from nnunetv2_sizepenalty.evaluation.protocols import SHARE, Rule
from nnunetv2_sizepenalty.nnunet_io.file_names import FINAL
from nnunetv2_sizepenalty.nnunet_io.model_folder import ModelFolder
from nnunetv2_sizepenalty.nnunet_io.probabilities import VALIDATION_STEP
from nnunetv2_sizepenalty.operating_point.check_cases import check_cases
from nnunetv2_sizepenalty.operating_point.choose_classes import choose_classes
from nnunetv2_sizepenalty.operating_point.figure import draw
from nnunetv2_sizepenalty.operating_point.grid import ThresholdGrid, make_grid
from nnunetv2_sizepenalty.operating_point.list_cases import PREDICTED, choose_folds, list_cases
from nnunetv2_sizepenalty.operating_point.objective import Objective
from nnunetv2_sizepenalty.operating_point.point import (
    FORMAT,
    ChosenModel,
    OperatingPoint,
    Source,
    file_name,
)
from nnunetv2_sizepenalty.operating_point.predict import Prediction


def choose_operating_point(
    model: ModelFolder, output: Path, *, objective: Objective | None = None, **options: Any
) -> OperatingPoint:
    """Chooses for one model and one objective (mean Dice when None); otherwise as `choose_operating_points`."""
    return choose_operating_points([model], output, objectives=[objective or Objective()], **options)[0]


def choose_operating_points(
    models: Sequence[ModelFolder],
    output: Path,
    *,
    objectives: Sequence[Objective],
    folds: Sequence[str] | None = None,
    grid: ThresholdGrid | None = None,
    detection: Rule = SHARE,
    classes: list[str] | None = None,
    prediction: Prediction | None = None,
    checkpoint: str = FINAL,
    with_cross_fit: bool = False,
    processes: int = 1,
) -> list[OperatingPoint]:
    """Chooses on the folds' validation cases and writes operating_point.json and a figure.

    The counts of each case are kept in the model's folder, or in `output` where that is read-only or there are several
    models; those that still hold are used again.

    Args:
        models: the mean of their probabilities is cut.
        output: folder.
        objectives: the first is operating_point.json's, each other has a file of its own.
        folds: all in the results folder but "all" when None.
        grid: thresholds that follow the data and the thesis's smallest component when None.
        detection: when a lesion is found.
        classes: names of classes or regions, all when None.
        prediction: predicts the cases; None reads the .npz that nnU-Net's validation wrote.
        checkpoint: the one whose predictions the .npz are.
        with_cross_fit: also chooses for each fold on the others.
        processes: cases at a time.

    Returns:
        One for each objective.

    Raises:
        UserError: something is missing, unreadable or doesn't fit together; nothing is written then.
    """
    grid = grid or make_grid()
    if prediction is not None:
        checkpoint = prediction.checkpoint
    folds = choose_folds(models, folds, checkpoint, with_cross_fit)
    labels = models[0].labels.named(classes)
    cases = list_cases(models, folds, labels, grid, detection, prediction, output)
    described = [_describe(model) for model in models]
    check_cases(cases, objectives, processes)
    for folder in {output, cases[0].store.parents[1]}:
        _check_writable(folder)
    grids, found = choose_classes(cases, grid, objectives, with_cross_fit, processes)
    source = Source(
        probabilities="npz" if prediction is None else "predicted",
        checkpoint=checkpoint,
        step_size=VALIDATION_STEP if prediction is None else prediction.step_size,
        references=str(cases[0].reference.parent),
        cases={fold: tuple(case.name for case in cases if case.fold == fold) for fold in folds},
    )
    points = [
        OperatingPoint(
            format=FORMAT,
            version=__version__,
            model=described[0],
            objective=str(objective),
            better="higher" if objective.sign > 0 else "lower",
            candidates=grid.with_thresholds({t for of_class in grids.values() for t in of_class.thresholds})
            if grid.follows_data
            else grid,
            source=source,
            classes=of_objective,
            detection=detection.option,
            averaged_with=tuple(described[1:]),
            path=output / file_name(objective, first=number == 0),
        )
        for number, (objective, of_objective) in enumerate(zip(objectives, found, strict=True))
    ]
    for point in points:
        point.write()
        with atomic_file(point.path.with_suffix(".png")) as path:
            draw(point, path)
    for case in cases:
        case.delete_predicted()
    if prediction is not None and (output / PREDICTED).is_dir() and not any((output / PREDICTED).iterdir()):
        (output / PREDICTED).rmdir()
    return points


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


def _check_writable(folder: Path) -> None:
    """Finds out before the work whether the results can be written."""
    with atomic_file(folder / ".writable") as path:
        path.touch()
    (folder / ".writable").unlink(missing_ok=True)  # another run may have looked, too
