"""From a results folder to operating_point.json: count, choose, write."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nnunetv2_sizepenalty.atomic import atomic_file
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation.records import to_json
from nnunetv2_sizepenalty.operating_point.candidates import Candidates
from nnunetv2_sizepenalty.operating_point.choose import choose, cross_fit
from nnunetv2_sizepenalty.operating_point.counting import ClassCounts, Job, count_jobs
from nnunetv2_sizepenalty.operating_point.figure import draw
from nnunetv2_sizepenalty.operating_point.model_folder import FINAL, ModelFolder
from nnunetv2_sizepenalty.operating_point.point import ENSEMBLE
from nnunetv2_sizepenalty.operating_point.predictor import Prediction
from nnunetv2_sizepenalty.operating_point.report import class_report, header
from nnunetv2_sizepenalty.operating_point.scores import Objective, score_cases

REPORT, FIGURE, COUNTS = "operating_point.json", "operating_point.png", "counts"


def choose_operating_point(
    model: ModelFolder,
    output: Path,
    *,
    folds: Sequence[str] | None = None,
    candidates: Candidates | None = None,
    objective: Objective | None = None,
    classes: list[str] | None = None,
    prediction: Prediction | None = None,
    checkpoint: str = FINAL,
    with_cross_fit: bool = False,
    processes: int = 1,
) -> dict[str, Any]:
    """Chooses on the folds' validation cases and writes operating_point.json, a figure and the counts of each case.

    Args:
        output: folder; counts of an earlier run that still hold are used again.
        folds: all in the results folder when None.
        candidates: the thesis's when None.
        objective: mean Dice when None.
        classes: names of classes or regions, all when None.
        prediction: predicts the cases; None reads the .npz that nnU-Net's validation wrote.
        checkpoint: the one whose predictions the .npz are.
        with_cross_fit: also chooses for each fold on the others.
        processes: cases at a time.

    Returns:
        The content of operating_point.json.

    Raises:
        UserError: something is missing, unreadable or doesn't fit together.
    """
    candidates, objective = candidates or Candidates(), objective or Objective()
    folds = tuple(folds or model.folds())
    if not folds:
        raise UserError(f"{model.path} has no fold_* folder: train a fold first")
    if prediction is not None:
        checkpoint = prediction.checkpoint
    model.check_same_labels(folds, checkpoint)
    labels = model.labels.named(classes)
    jobs = [
        Job(model, fold, case, labels, candidates, model.reference_file(case), origin, prediction, store)
        for fold in folds
        for case, origin in _origins(model, fold, prediction).items()
        for store in [output / COUNTS / f"fold_{fold}" / f"{case}.npz"]
    ]
    report = header(model, folds, jobs, candidates, objective, prediction, checkpoint)
    _check_writable(output)
    counted = count_jobs(jobs, processes)
    for label in labels:
        report["classes"][label.name] = _choose_class(
            counted[label.name], label.values, candidates, objective, with_cross_fit
        )
    with atomic_file(output / REPORT) as path:
        path.write_text(to_json(report), encoding="utf-8")
    with atomic_file(output / FIGURE) as path:
        draw(report, path)
    return report


def _choose_class(
    counted: dict[str, dict[str, ClassCounts]],
    values: tuple[int, ...],
    candidates: Candidates,
    objective: Objective,
    with_cross_fit: bool,
) -> dict[str, Any]:
    """The part of the report that is about one class; `counted` is fold -> case -> counts."""
    every = {ENSEMBLE: [c for cases in counted.values() for c in cases.values()]}
    every |= {fold: list(cases.values()) for fold, cases in counted.items()}
    scores = {name: score_cases([c.candidates for c in cases]) for name, cases in every.items()}
    choices = {name: choose(scores[name], candidates, objective) for name in scores}
    fitted = None
    if with_cross_fit:
        of_fold = {fold: {case: c.candidates for case, c in cases.items()} for fold, cases in counted.items()}
        fitted = cross_fit(of_fold, candidates, objective)
    calibration = [c.calibration for c in every[ENSEMBLE]]
    return class_report(values, scores, choices, candidates, objective, fitted, calibration)


def _origins(model: ModelFolder, fold: str, prediction: Prediction | None) -> dict[str, Path]:
    """Case -> the file that its probabilities come from.

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
    origins = {case: folder / "validation" / f"{case}.npz" for case in cases}
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
