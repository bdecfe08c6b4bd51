"""Two models on the same cases: the difference, what it is worth, and when nothing can be told."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from statsmodels.stats.multitest import multipletests

from nnunetv2_sizepenalty.evaluation.statistics import mean_estimate

ALPHA = 0.05
POWER = 0.8
CANNOT_TELL = "can't tell"


@dataclass(frozen=True)
class Paired:
    """One metric of a model against a baseline over the cases where both are defined.

    difference: mean of (model - baseline), with its 95 % interval, cases being resampled. p: two-sided Wilcoxon
    signed-rank test. wins, ties, losses: of the model, by the metric's direction (all ties where it has none).
    detectable: the smallest mean difference that this many cases would have shown with 80 % power at 5 %.
    """

    cases: int
    undefined: int
    baseline_mean: float
    model_mean: float
    difference: float
    low: float
    high: float
    interval: str
    p: float
    wins: int
    ties: int
    losses: int
    detectable: float


def compare_paired(baseline: Sequence[float], model: Sequence[float], better: int) -> Paired:
    """Compares one metric case by case.

    Args:
        baseline, model: the same cases in the same order; NaN where undefined.
        better: +1 where higher is better, -1 where lower is, 0 where neither (`metrics.Metric.better`).
    """
    baseline, model = np.asarray(baseline, dtype=float), np.asarray(model, dtype=float)
    if baseline.shape != model.shape:
        raise ValueError(f"the models were scored on {len(baseline)} and {len(model)} cases, they must be the same")
    both = ~np.isnan(baseline) & ~np.isnan(model)
    baseline, model = baseline[both], model[both]
    difference = model - baseline
    n = len(difference)
    mean = mean_estimate(difference)
    gain = difference * better
    return Paired(
        cases=n,
        undefined=int((~both).sum()),
        baseline_mean=float(baseline.mean()) if n else math.nan,
        model_mean=float(model.mean()) if n else math.nan,
        difference=mean.value,
        low=mean.low,
        high=mean.high,
        interval=mean.interval,
        p=wilcoxon_p(difference),
        wins=int((gain > 0).sum()),
        ties=int((gain == 0).sum()),
        losses=int((gain < 0).sum()),
        detectable=smallest_detectable_difference(difference),
    )


def wilcoxon_p(difference: np.ndarray) -> float:
    """Two-sided p of Wilcoxon's signed-rank test; 1 where no case differs, NaN without cases."""
    if not len(difference):
        return math.nan
    if not difference.any():
        return 1.0
    return float(stats.wilcoxon(difference).pvalue)


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Holm's correction over the tests of one table; NaN (no test) stays NaN and does not count."""
    corrected = np.array(p_values, dtype=float)
    tested = ~np.isnan(corrected)
    if tested.any():
        corrected[tested] = multipletests(corrected[tested], method="holm")[1]
    return corrected


def smallest_detectable_difference(difference: np.ndarray) -> float:
    """Mean difference that a two-sided paired t test at 5 % finds with 80 % power, given how these differences
    scatter; NaN below two cases."""
    n = len(difference)
    if n < 2:
        return math.nan
    quantiles = stats.t.ppf(1 - ALPHA / 2, n - 1) + stats.t.ppf(POWER, n - 1)
    return float(quantiles * np.std(difference, ddof=1) / math.sqrt(n))


def noise_floor(means: Sequence[Sequence[float]], repeats: tuple[int, int] = (1, 1)) -> float:
    """The difference of two models' means that repeating the training alone produces: 95 % of such differences are
    smaller.

    Args:
        means: for each model that was repeated, the metric's mean of each repeat on the same cases. The repeats'
            variance is pooled over the models.
        repeats: how many repeats the two means to compare are averaged over.

    Returns:
        t(0.975, df) * sd * sqrt(1 / repeats_a + 1 / repeats_b); NaN where no model has two repeats.
    """
    groups = [np.asarray(m, dtype=float) for m in means]
    groups = [g[~np.isnan(g)] for g in groups]
    groups = [g for g in groups if len(g) > 1]
    freedom = sum(len(g) - 1 for g in groups)
    if not freedom:
        return math.nan
    variance = sum(((g - g.mean()) ** 2).sum() for g in groups) / freedom
    return float(stats.t.ppf(1 - ALPHA / 2, freedom) * math.sqrt(variance * (1 / repeats[0] + 1 / repeats[1])))


def verdict(paired: Paired, corrected_p: float, better: int, floor: float = math.nan) -> str:
    """ "better", "worse" or "can't tell".

    A difference counts when its corrected p is below 5 %, its interval leaves out 0, and it passes the noise floor
    where there is one.
    """
    counts = corrected_p < ALPHA and (paired.low > 0 or paired.high < 0)
    if not counts or better == 0 or abs(paired.difference) <= floor:
        return CANNOT_TELL
    return "better" if paired.difference * better > 0 else "worse"
