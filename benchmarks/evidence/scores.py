"""The numbers of one label: of each repeat, by lesion size, at matched false positives, against the baseline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.ablation.runs import Run
from nnunetv2_sizepenalty.comparison.contrast import contrast_means
from nnunetv2_sizepenalty.comparison.paired import Question, judge
from nnunetv2_sizepenalty.comparison.patients import PatientBlocks, find_patients
from nnunetv2_sizepenalty.comparison.setting import THESIS_METRICS
from nnunetv2_sizepenalty.curves import Froc, read_froc
from nnunetv2_sizepenalty.curves.froc import threshold_at
from nnunetv2_sizepenalty.evaluation import Evaluation, read_evaluation
from nnunetv2_sizepenalty.evaluation.strata import ALL
from nnunetv2_sizepenalty.evaluation.summary import Tables

# columns of a comparison's differences.csv, which `average_precision_differences` has too
DIFFERENCE = ["model", "metric", "difference", "low", "high", "p_corrected", "noise_floor", "verdict"]


@dataclass(frozen=True)
class LabelScores:
    """One label of all whole models, the baseline first.

    Attributes:
        repeats: model -> a row a repeat, with the columns of ablate's runs.csv, those of the thesis's metrics that it
            lacks (means over the cases at the own operating point), and lesion_f1.
        lesions: a row per model, repeat and size bin: lesions, detection_rate at the own operating point,
            matched_detection_rate at the baseline's false positives per case.
        matched_rate: these false positives per case.
        differences: what is compared ("Dice at 0.5", ...) -> a row per model but the first, columns `DIFFERENCE`.
        thesis: the same of all the thesis's metrics at the own operating point, a row per model and metric.
        baseline_dice: of each of the baseline's repeats, case by case, NaN where a case has no lesion.
    """

    label: str
    baseline: str
    repeats: Mapping[str, pd.DataFrame]
    lesions: pd.DataFrame
    matched_rate: float
    differences: Mapping[str, pd.DataFrame]
    thesis: pd.DataFrame
    baseline_dice: Sequence[pd.Series]


def read_label(label: str, models: Mapping[str, Sequence[Run]], table: pd.DataFrame, out: Path) -> LabelScores:
    """Reads one label.

    Args:
        models: whole models, the baseline first; a run of each is a repeat.
        table: runs.csv.
        out: the ablation's folder.
    """
    evaluations = {name: [read_evaluation(run.folder / "evaluation") for run in runs] for name, runs in models.items()}
    frocs = {name: [read_froc(run.folder / "froc") for run in runs] for name, runs in models.items()}
    baseline = next(iter(models))
    of_label = table[table["label"] == label].set_index("run")
    repeats = {
        name: of_label.loc[[run.key for run in runs]].assign(
            lesion_f1=[
                _tables(evaluation, label).lesion_stratum().estimates["lesion_f1"].value for evaluation in found
            ],
            **{
                metric: [_of(evaluation.cases, label)[metric].mean() for evaluation in found]
                for metric in THESIS_METRICS
            },
        )
        for (name, runs), found in zip(models.items(), evaluations.values(), strict=True)
    }
    rate = float(repeats[baseline]["false_positives"].mean())
    lesions = [
        {"model": name, "repeat": i, **row}
        for name in models
        for i, (evaluation, froc) in enumerate(zip(evaluations[name], frocs[name], strict=True))
        for row in _lesion_rows(evaluation, froc, label, rate)
    ]
    cases = [_of(evaluation.cases, label) for evaluation in evaluations[baseline]]
    dice = [found["dice"].where(found["n_reference"] > 0) for found in cases]
    differences = _differences(label, out) if len(models) > 1 else {}
    if differences:
        differences["average precision"] = average_precision_differences(label, frocs)
    thesis = _read_differences(label, out / "comparison", "own") if differences else pd.DataFrame(columns=DIFFERENCE)
    return LabelScores(label, baseline, repeats, pd.DataFrame(lesions), rate, differences, thesis, dice)


def _of(table: pd.DataFrame, label: str) -> pd.DataFrame:
    return table[table["label"] == label].sort_values("case", ignore_index=True)


def _tables(evaluation: Evaluation, label: str) -> Tables:
    return evaluation.summary.labels[label].tables


def _lesion_rows(evaluation: Evaluation, froc: Froc, label: str, rate: float) -> list[dict]:
    threshold = threshold_at(froc, label, rate)
    curves = froc.curves[froc.curves["label"] == label]
    matched = curves[np.isclose(curves["threshold"], threshold, rtol=1e-9, atol=0)].set_index("stratum")["sensitivity"]
    return [
        {
            "stratum": stratum.name,
            "lesions": stratum.lesions,
            "detection_rate": stratum.estimates["detection_rate"].value,
            "matched_detection_rate": matched.get(stratum.name, np.nan),
        }
        for stratum in _tables(evaluation, label).lesion_strata
        if stratum.name in (ALL, *evaluation.summary.bins.names)
    ]


def _differences(label: str, out: Path) -> dict[str, pd.DataFrame]:
    """`compare`'s own; nothing where it could compare nothing."""
    tables = {}
    for folder, reading, metrics in (
        ("comparison_at_half", "own", {"dice": "Dice at 0.5"}),
        ("comparison", "own", {"dice": "Dice at the tuned threshold"}),
        (
            "comparison",
            "matched false positives",
            {"dice": "Dice at matched false positives", "detection_rate": "detection at matched false positives"},
        ),
    ):
        if not (out / folder / "differences.csv").is_file():
            return {}
        found = _read_differences(label, out / folder, reading)
        tables |= {title: found[found["metric"] == metric] for metric, title in metrics.items()}
    return tables


def _read_differences(label: str, comparison: Path, reading: str) -> pd.DataFrame:
    """`compare`'s over all cases, columns `DIFFERENCE`."""
    found = pd.read_csv(comparison / "differences.csv", keep_default_na=False, na_values=[""])
    chosen = (found["label"] == label) & (found["stratum"] == "all") & (found["reading"] == reading)
    return found.loc[chosen & found["metric"].isin(THESIS_METRICS), DIFFERENCE]


def average_precision_differences(label: str, frocs: Mapping[str, Sequence[Froc]]) -> pd.DataFrame:
    """Voxel-wise average precision per case against the first model, judged as `compare` judges its metrics."""
    of_label = {name: [_of(froc.voxels, label) for froc in of_model] for name, of_model in frocs.items()}
    repeats = {
        name: np.stack([table["average_precision"] for table in of_model]) for name, of_model in of_label.items()
    }
    (_, first), *others = repeats.items()
    cases = next(iter(of_label.values()))[0]["case"]
    patients = find_patients(list(cases))
    blocks = PatientBlocks.from_names([patients[case] for case in cases])
    questions = [
        Question({"model": name, "metric": "average_precision"}, +1, contrast_means(first, values, blocks))
        for name, values in others
    ]
    return judge(questions, len(blocks))[DIFFERENCE]


def mean_of(repeats: Sequence[pd.Series]) -> pd.Series:
    """Each case's mean over the repeats."""
    return pd.concat(list(repeats), axis=1).mean(axis=1)
