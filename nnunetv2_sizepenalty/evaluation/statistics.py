"""Numbers over cases with their uncertainty: means, ratios and concordance with 95 % bootstrap intervals."""

import math
import warnings
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from nnunetv2_sizepenalty.evaluation.records import Aggregate, Estimate

RESAMPLES = 2000
CONFIDENCE = 0.95


def bootstrap_interval(statistic: Callable[..., np.ndarray], *samples: np.ndarray) -> tuple[float, float, str]:
    """The 95 % interval of `statistic(*samples, axis=-1)` under resampling of the cases (samples stay paired).

    Returns:
        low, high, and "BCa", "percentile" (BCa is undefined, for instance where all values are equal) or "none"
        (fewer than two cases). The same samples always give the same interval.
    """
    if len(samples[0]) < 2:
        return math.nan, math.nan, "none"
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            interval = stats.bootstrap(
                samples,
                statistic,
                paired=True,
                vectorized=True,
                n_resamples=RESAMPLES,
                # Bounds the memory: resamples x cases at once.
                batch=max(1, 2_000_000 // len(samples[0])),
                confidence_level=CONFIDENCE,
                method=method,
                rng=np.random.default_rng(0),
            ).confidence_interval
        if np.isfinite([interval.low, interval.high]).all():
            return float(interval.low), float(interval.high), method
    return math.nan, math.nan, "none"


def estimate(statistic: Callable[..., np.ndarray], *samples: np.ndarray) -> Estimate:
    """`statistic` of the samples with its interval; NaN where there is no case."""
    if len(samples[0]) == 0:
        return Estimate(value=math.nan, low=math.nan, high=math.nan, interval="none")
    with np.errstate(all="ignore"):
        value = float(statistic(*samples, axis=-1))
    low, high, interval = bootstrap_interval(statistic, *samples)
    return Estimate(value=value, low=low, high=high, interval=interval)


def mean_estimate(values: Sequence[float]) -> Estimate:
    """Mean over the cases that have a value."""
    values = np.asarray(values, dtype=float)
    return estimate(np.mean, values[~np.isnan(values)])


def ratio_estimate(numerator: Sequence[float], denominator: Sequence[float]) -> Estimate:
    """sum(numerator) / sum(denominator) over cases, such as a proportion of lesions; cases of 0 / 0 are left out."""
    numerator, denominator = np.asarray(numerator, dtype=float), np.asarray(denominator, dtype=float)
    counts = denominator > 0
    return estimate(_ratio_of_sums, numerator[counts], denominator[counts])


def _ratio_of_sums(numerator: np.ndarray, denominator: np.ndarray, axis: int = -1) -> np.ndarray:
    return numerator.sum(axis=axis) / denominator.sum(axis=axis)


def lin_ccc(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
    """Lin's concordance correlation coefficient with variances over n (Lin 1989, doi:10.2307/2532051)."""
    mean_x, mean_y = np.mean(x, axis=axis, keepdims=True), np.mean(y, axis=axis, keepdims=True)
    covariance = np.mean((x - mean_x) * (y - mean_y), axis=axis)
    shift = (mean_x - mean_y).squeeze(axis)
    return 2 * covariance / (np.var(x, axis=axis) + np.var(y, axis=axis) + shift**2)


def aggregate(values: Sequence[float], reasons: Sequence[str]) -> Aggregate:
    """One metric over cases; `reasons` says for each case why its value is undefined (used where it is NaN)."""
    values = np.asarray(values, dtype=float)
    undefined = np.isnan(values)
    defined = values[~undefined]
    mean = mean_estimate(defined)
    return Aggregate(
        n=len(defined),
        undefined=int(undefined.sum()),
        reasons=dict(Counter(reason for reason, missing in zip(reasons, undefined, strict=True) if missing)),
        mean=mean["value"],
        median=float(np.median(defined)) if len(defined) else math.nan,
        sd=float(np.std(defined, ddof=1)) if len(defined) > 1 else math.nan,
        low=mean["low"],
        high=mean["high"],
        interval=mean["interval"],
    )
