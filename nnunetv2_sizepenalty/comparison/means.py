"""Each model by itself: its means over cases, by size, and those of each of its repeats."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.comparison.models import Model
from nnunetv2_sizepenalty.comparison.pooled import POOLED
from nnunetv2_sizepenalty.comparison.setting import Setting, compared_metrics
from nnunetv2_sizepenalty.evaluation.runs import mean_of_fold_means
from nnunetv2_sizepenalty.evaluation.strata import ALL, stratum_names


def means(models: Sequence[Model], setting: Setting, metrics: Sequence[str] | None = None) -> pd.DataFrame:
    """Mean over cases of each metric, model and stratum of the case's reference volume, with its interval.

    Columns stratum, model, cases, metric, n (cases with a value), mean, low, high, interval, mean_of_fold_means (over
    all cases and where there are folds, else NaN). A figure of all cases together stands where its mean would.
    """
    metrics = metrics or compared_metrics(setting.bins.unit)
    rows = []
    for stratum in stratum_names(setting.bins, of_cases=True):
        for model in models:
            cases = model.label(setting.label)
            chosen = setting.chosen(cases, stratum)
            repeats = [repeat[chosen] for repeat in model.label_repeats(setting.label)]
            blocks = setting.blocks(cases).at(chosen)
            cases = cases[chosen]
            for metric in metrics:
                if metric in POOLED:
                    n, estimate = len(cases), POOLED[metric].estimate(repeats, blocks)
                else:
                    n, estimate = int(cases[metric].notna().sum()), blocks.mean(cases[metric])
                by_fold = metric not in POOLED and model.folds > 1 and stratum == ALL
                folds = [run.cases for run in model.runs]
                rows.append(
                    {
                        "stratum": stratum,
                        "model": model.name,
                        "cases": len(cases),
                        "metric": metric,
                        "n": n,
                        "mean": estimate.value,
                        "low": estimate.low,
                        "high": estimate.high,
                        "interval": estimate.interval,
                        "mean_of_fold_means": mean_of_fold_means(folds, metric, setting.label) if by_fold else np.nan,
                    }
                )
    return pd.DataFrame(rows)


def repeat_means(models: Sequence[Model], setting: Setting, metrics: Sequence[str] | None = None) -> pd.DataFrame:
    """Each repeat's figures over all cases: columns model, repeat (from 1), metric, mean.

    A training that takes off while others don't has no typical mean: repeats are shown one by one.
    """
    rows = []
    for model in models:
        for number, cases in enumerate(model.label_repeats(setting.label), start=1):
            for metric in metrics or compared_metrics(setting.bins.unit):
                if metric in POOLED:
                    with np.errstate(invalid="ignore", divide="ignore"):
                        mean = float(POOLED[metric].value(POOLED[metric].parts(cases).sum(axis=0)))
                else:
                    mean = cases[metric].mean()
                rows.append({"model": model.name, "repeat": number, "metric": metric, "mean": mean})
    return pd.DataFrame(rows)
