"""The numbers of a comparison: means of each model, differences from the baseline, lesions by their size."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.comparison.models import Model
from nnunetv2_sizepenalty.evaluation import formulas
from nnunetv2_sizepenalty.evaluation.kinds import REFERENCE
from nnunetv2_sizepenalty.evaluation.metrics import METRICS
from nnunetv2_sizepenalty.evaluation.paired import compare_paired, holm, noise_floor, verdict
from nnunetv2_sizepenalty.evaluation.runs import mean_of_fold_means
from nnunetv2_sizepenalty.evaluation.statistics import mean_estimate
from nnunetv2_sizepenalty.evaluation.strata import in_stratum, stratum_names
from nnunetv2_sizepenalty.lesions import SizeBins

# The thesis's columns in its order; SQ over the matched pairs alone stands beside SQ.
THESIS_METRICS = (
    "dice", "false_positives", "missed", "detection_rate", "rve", "pq", "sq", "sq_matched", "rq", "assd",
)  # fmt: skip


def means(models: Sequence[Model], label: str, bins: SizeBins, metrics: Sequence[str] = THESIS_METRICS) -> pd.DataFrame:
    """Mean over cases of each metric, model and stratum of the case's reference volume, with its interval.

    Columns stratum, model, cases, metric, n (cases with a value), mean, low, high, interval, mean_of_fold_means (over
    all cases and where there are folds, else NaN).
    """
    rows = []
    for stratum in stratum_names(bins, of_cases=True):
        for model in models:
            cases = model.label(label)
            cases = cases[in_stratum(stratum, cases[bins.unit.column("reference")], bins)]
            for metric in metrics:
                estimate = mean_estimate(cases[metric])
                rows.append(
                    {
                        "stratum": stratum,
                        "model": model.name,
                        "cases": len(cases),
                        "metric": metric,
                        "n": int(cases[metric].notna().sum()),
                        "mean": estimate.value,
                        "low": estimate.low,
                        "high": estimate.high,
                        "interval": estimate.interval,
                        "mean_of_fold_means": mean_of_fold_means([run.cases for run in model.runs], metric, label)
                        if model.folds > 1 and stratum == "all"
                        else np.nan,
                    }
                )
    return pd.DataFrame(rows)


def differences(
    models: Sequence[Model], label: str, bins: SizeBins, strata: Sequence[str], metrics: Sequence[str] = THESIS_METRICS
) -> pd.DataFrame:
    """Each model against the first, case by case, for each stratum and metric; one Holm family.

    Columns stratum, model, baseline, metric, those of `paired.Paired`, p_holm, noise_floor, verdict.
    """
    baseline = models[0]
    rows = []
    for stratum in strata:
        for model in models[1:]:
            first, second = baseline.label(label), model.label(label)
            chosen = in_stratum(stratum, first[bins.unit.column("reference")], bins)
            for metric in metrics:
                paired = compare_paired(first.loc[chosen, metric], second.loc[chosen, metric], METRICS[metric].better)
                floor = noise_floor(
                    [_repeat_means(m, label, metric, chosen) for m in models],
                    repeats=(len(baseline.repeats), len(model.repeats)),
                )
                rows.append((stratum, model.name, metric, paired, floor))
    corrected = holm([paired.p for *_, paired, _ in rows])
    return pd.DataFrame(
        {
            "stratum": stratum,
            "model": model,
            "baseline": baseline.name,
            "metric": metric,
            **dataclasses.asdict(paired),
            "p_holm": p,
            "noise_floor": floor,
            "verdict": verdict(paired, p, METRICS[metric].better, floor),
        }
        for (stratum, model, metric, paired, floor), p in zip(rows, corrected, strict=True)
    )


def _repeat_means(model: Model, label: str, metric: str, chosen: np.ndarray) -> list[float]:
    """The metric's mean over the chosen cases in each repeat of a model."""
    return [
        repeat[repeat["label"] == label].reset_index(drop=True).loc[chosen, metric].mean() for repeat in model.repeats
    ]


def lesion_sizes(models: Sequence[Model], label: str, bins: SizeBins) -> pd.DataFrame:
    """Lesions of each size that each model missed, by the lesion's own volume; one Holm family.

    Missed lesions per case are compared case by case. Columns stratum, model, baseline, lesions, missed (mean over the
    repeats), detection_rate, those of `paired.Paired` of the missed lesions per case, p_holm, verdict.
    """
    rows = []
    for stratum in stratum_names(bins, of_cases=False):
        counts = {model.name: _lesions_per_case(model, label, stratum, bins) for model in models}
        for model in models:
            lesions, missed = counts[model.name].sum()
            paired = compare_paired(counts[models[0].name]["missed"], counts[model.name]["missed"], better=-1)
            rows.append((stratum, model, lesions, missed, paired))
    tests = [np.nan if row[1] is models[0] else row[-1].p for row in rows]
    return pd.DataFrame(
        {
            "stratum": stratum,
            "model": model.name,
            "baseline": models[0].name,
            "lesions": lesions,
            "missed": missed,
            "detection_rate": formulas.sensitivity(lesions - missed, lesions).value,
            **dataclasses.asdict(paired),
            "p_holm": p,
            "verdict": "" if model is models[0] else verdict(paired, p, -1),
        }
        for (stratum, model, lesions, missed, paired), p in zip(rows, holm(tests), strict=True)
    )


def _lesions_per_case(model: Model, label: str, stratum: str, bins: SizeBins) -> pd.DataFrame:
    """Reference lesions of a size and how many of them are missed, per case, mean over the repeats."""
    lesions = pd.concat([run.lesions for run in model.runs])
    lesions = lesions[(lesions["label"] == label) & (lesions["kind"] == REFERENCE)]
    lesions = lesions[in_stratum(stratum, lesions[bins.unit.column("volume")], bins)]
    table = pd.DataFrame({"case": lesions["case"], "lesions": 1.0, "missed": ~lesions["detected"].astype(bool)})
    per_case = table.groupby("case").sum().reindex(model.label(label)["case"], fill_value=0.0).astype(float)
    return per_case / len(model.repeats)
