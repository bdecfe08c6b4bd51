"""The content of operating_point.json."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from nnunetv2_sizepenalty import __version__
from nnunetv2_sizepenalty.evaluation.calibration import (
    NEIGHBOURHOOD_MM,
    CalibrationCounts,
    expected_calibration_error,
    mean_average_precision,
    pooled_average_precision,
    reliability_curve,
    volume_ratios,
)
from nnunetv2_sizepenalty.operating_point.candidates import Candidates
from nnunetv2_sizepenalty.operating_point.choose import Choice, CrossFit, baselines, value_at
from nnunetv2_sizepenalty.operating_point.counting import Job
from nnunetv2_sizepenalty.operating_point.model_folder import ModelFolder
from nnunetv2_sizepenalty.operating_point.point import ENSEMBLE, FORMAT
from nnunetv2_sizepenalty.operating_point.predictor import Prediction
from nnunetv2_sizepenalty.operating_point.scores import PER_CASE, Objective, Scores


def header(
    model: ModelFolder,
    folds: Sequence[str],
    jobs: Sequence[Job],
    candidates: Candidates,
    objective: Objective,
    prediction: Prediction | None,
    checkpoint: str,
) -> dict[str, Any]:
    """Everything but the classes: what was chosen for, among what, and on which data."""
    trainer, plans, configuration = model.identifier
    order = model.dataset_json.get("regions_class_order") if model.labels.regions else None
    return {
        "format": FORMAT,
        "version": __version__,
        "model": {
            "folder": str(model.path.resolve()),
            "dataset": model.dataset,
            "trainer": trainer,
            "plans": plans,
            "configuration": configuration,
            "labels": model.dataset_json["labels"],
            "regions_class_order": order,
        },
        "objective": str(objective),
        "better": "higher" if objective.sign > 0 else "lower",
        "candidates": asdict(candidates),
        "source": {
            "probabilities": "npz" if prediction is None else "predicted",
            "checkpoint": checkpoint,
            "step_size": 0.5 if prediction is None else prediction.step_size,
            "references": str(jobs[0].reference.parent),
            "cases": {fold: [job.case for job in jobs if job.fold == fold] for fold in folds},
        },
        "classes": {},
    }


def class_report(
    values: Sequence[int],
    scores: Mapping[str, Scores],
    choices: Mapping[str, Choice],
    candidates: Candidates,
    objective: Objective,
    fitted: Mapping[str, CrossFit] | None,
    calibration: Sequence[CalibrationCounts],
) -> dict[str, Any]:
    """One class; `scores` and `choices` are by fold, and "ensemble" for all cases together."""

    def choice(name: str) -> dict[str, Any]:
        compared = {
            f"score_{other}": value_at(scores[name], candidates, cut, objective.score)
            for other, cut in baselines(candidates).items()
        }
        chosen = choices[name]
        flags = {"edge": list(chosen.edge), "all_tied": chosen.all_tied}
        return {**asdict(chosen.cut), "score": chosen.score, **compared, **flags}

    return {
        "values": list(values),
        ENSEMBLE: choice(ENSEMBLE),
        "folds": {name: choice(name) for name in choices if name != ENSEMBLE},
        "cross_fit": None if fitted is None else {name: asdict(result) for name, result in fitted.items()},
        "calibration": calibration_report(calibration),
        "table": [row for name in scores for row in _table(name, scores[name], candidates)],
    }


def _table(name: str, scores: Scores, candidates: Candidates) -> list[dict[str, Any]]:
    """A row per candidate; `n_dice` and the like say over how many cases a mean was taken."""
    return [
        {
            "fold": name,
            "threshold": threshold,
            "min_size": size,
            **{key: float(value[row, column]) for key, value in scores.values.items()},
            **{f"n_{key}": int(scores.defined[key][row, column]) for key in PER_CASE},
            "n_cases": scores.n_cases,
        }
        for row, threshold in enumerate(candidates.counted_thresholds)
        for column, size in enumerate(candidates.counted_sizes)
    ]


def calibration_report(cases: Sequence[CalibrationCounts]) -> dict[str, Any]:
    """Reliability near the lesions, soft against hard volume, and average precision, which no threshold touches."""
    curve = reliability_curve(cases)
    average_precision, n = mean_average_precision(cases)
    return {
        "neighbourhood_mm": NEIGHBOURHOOD_MM,
        "expected_calibration_error": expected_calibration_error(curve),
        "reliability": {key: value.tolist() for key, value in curve.items()},
        "volume_ratios": volume_ratios(cases),
        "average_precision": average_precision,
        "n_average_precision": n,
        "pooled_average_precision": pooled_average_precision(cases),
    }
