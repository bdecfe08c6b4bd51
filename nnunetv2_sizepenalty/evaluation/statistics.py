"""Numbers over cases with their uncertainty: means, ratios and concordance with 95 % bootstrap intervals."""

import math
import warnings
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from nnunetv2_sizepenalty.evaluation.records import Aggregate, Estimate

RESAMPLES = 2000
CONFIDENCE = 0.95


def bootstrap_intervals(
    statistic: Callable[..., np.ndarray], *samples: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The 95 % intervals of `statistic(*samples, axis=-1)` when cases are resampled.

    Args:
        samples: shape (..., cases). One sample, or several that stay paired.

    Returns:
        low, high, and how each was found: "BCa", "percentile" (BCa is undefined, for instance where all values are
        equal) or "none" (fewer than two cases); each of the statistic's shape. The same samples always give the same
        intervals.
    """
    shape, n = samples[0].shape[:-1], samples[0].shape[-1]
    low, high, how = np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, "none", dtype=object)
    if n < 2:
        return low, high, how
    for method in ("BCa", "percentile"):
        open_ = how == "none"
        if not open_.any():
            break
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            interval = stats.bootstrap(
                samples,
                statistic,
                paired=len(samples) > 1,
                vectorized=True,
                axis=-1,
                n_resamples=RESAMPLES,
                # Bounds the memory: all samples x resamples x cases at once.
                batch=max(1, 2_000_000 // samples[0].size),
                confidence_level=CONFIDENCE,
                method=method,
                rng=np.random.default_rng(0),
            ).confidence_interval
        found = open_ & np.isfinite(interval.low) & np.isfinite(interval.high)
        low, high = np.where(found, interval.low, low), np.where(found, interval.high, high)
        how = np.where(found, method, how)
    return low, high, how


def estimate(statistic: Callable[..., np.ndarray], *samples: np.ndarray) -> Estimate:
    """`statistic` of the samples with its interval; NaN where there is no case."""
    if len(samples[0]) == 0:
        return Estimate(value=math.nan, low=math.nan, high=math.nan, interval="none")
    with np.errstate(all="ignore"):
        value = float(statistic(*samples, axis=-1))
    low, high, interval = bootstrap_intervals(statistic, *samples)
    return Estimate(value=value, low=float(low), high=float(high), interval=str(interval))


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


def aggregate(values: pd.DataFrame, reasons: Sequence[str]) -> dict[str, Aggregate]:
    """Every column of `values` over its rows, the cases; `reasons` says for each case why a value is undefined."""
    matrix = values.to_numpy(float).T
    undefined = np.isnan(matrix)
    result: dict[str, Aggregate] = {}
    # Columns that are undefined in the same cases share their resamples: one bootstrap for all of them.
    for pattern in np.unique(undefined, axis=0) if len(values) else undefined[:1]:
        columns = np.flatnonzero((undefined == pattern).all(axis=1))
        defined = matrix[columns][:, ~pattern]
        n = defined.shape[1]
        low, high, how = bootstrap_intervals(np.mean, defined)
        why = dict(Counter(reason for reason, missing in zip(reasons, pattern, strict=True) if missing))
        for row, column in enumerate(columns):
            result[values.columns[column]] = Aggregate(
                n=n,
                undefined=int(pattern.sum()),
                reasons=why,
                mean=float(defined[row].mean()) if n else math.nan,
                median=float(np.median(defined[row])) if n else math.nan,
                sd=float(defined[row].std(ddof=1)) if n > 1 else math.nan,
                low=float(low[row]),
                high=float(high[row]),
                interval=str(how[row]),
            )
    return {column: result[column] for column in values.columns}
