"""Numbers over cases with their uncertainty: means, ratios and concordance with 95 % bootstrap intervals."""

import math
import warnings
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from nnunetv2_sizepenalty.evaluation.summary import Aggregate, Estimate

RESAMPLES = 2000
CONFIDENCE = 0.95
_TIE = 1e-12

# From the sums over cases, shape (rows, ...), and the number of cases to the statistics, shape (statistics, ...).
OfSums = Callable[[np.ndarray, int], np.ndarray]


def bootstrap(rows: np.ndarray, of_sums: OfSums, bounds: tuple[ArrayLike, ArrayLike]) -> list[Estimate]:
    """Computes statistics that depend on sums over cases alone, with the interval of each when cases are resampled.

    Args:
        rows: what is summed, shape (rows, cases).
        of_sums: the statistics.
        bounds: what each statistic can't be below and above; rounding must not carry an interval beyond.

    Returns:
        An estimate a statistic. Its interval is "BCa", "percentile" where BCa is undefined (for instance where all
        values are equal) or "none" below two cases. A row always gives the same interval,
        whatever stands beside it.
    """
    n = rows.shape[1]
    with np.errstate(all="ignore"):
        value = of_sums(rows.sum(axis=1), n) if n else of_sums(np.full(len(rows), np.nan), 1)

    def statistic(drawn: np.ndarray, axis: int = -1) -> np.ndarray:
        drawn = np.moveaxis(drawn, axis, -1)
        found = of_sums(_resampled_sums(rows, drawn), drawn.shape[-1])
        # BCa counts the resamples below the value: those that draw each case once are it, whatever the rounding.
        same = value.reshape(-1, *(1,) * (found.ndim - 1))
        return np.where(np.isclose(found, same, rtol=_TIE, atol=_TIE), same, found)

    low, high, how = (np.full(len(value), fill, dtype=object) for fill in (math.nan, math.nan, "none"))
    for method in ("BCa", "percentile") if n > 1 else ():
        undecided = how == "none"
        if not undecided.any():
            break
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            interval = stats.bootstrap(
                (np.arange(n),),
                statistic,
                vectorized=True,
                n_resamples=RESAMPLES,
                batch=max(1, 2_000_000 // n),  # bounds the memory: resamples x cases at once
                confidence_level=CONFIDENCE,
                method=method,
                rng=np.random.default_rng(0),
            ).confidence_interval
        found = undecided & np.isfinite(interval.low) & np.isfinite(interval.high)
        low[found], high[found], how[found] = interval.low[found], interval.high[found], method
    low, high = (np.clip(end.astype(float), *bounds) for end in (low, high))
    return [
        Estimate(value=float(v), low=float(lo), high=float(hi), interval=str(h))
        for v, lo, hi, h in zip(value, low, high, how, strict=True)
    ]


def _resampled_sums(rows: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Sum of each row over drawn cases, shape (rows, *resamples); `drawn` holds case indices, (*resamples, cases)."""
    if len(rows) <= 6:
        return np.stack([row.take(drawn).sum(axis=-1) for row in rows])
    # One product with how often each case was drawn is faster than gathering many rows.
    n = rows.shape[1]
    resamples = drawn.reshape(-1, drawn.shape[-1])
    flat = resamples + n * np.arange(len(resamples))[:, None]
    times = np.bincount(flat.ravel(), minlength=n * len(resamples)).reshape(-1, n)
    return (rows @ times.T).reshape(len(rows), *drawn.shape[:-1])


def mean_estimates(rows: np.ndarray) -> list[Estimate]:
    """Computes the mean of each row, shape (rows, cases)."""
    # Rows that are constant become exactly 0 and stay so under every resampling.
    start = rows[:, :1] if rows.shape[1] else np.zeros((len(rows), 1))

    def means(sums: np.ndarray, n: int) -> np.ndarray:
        return sums / n + start.reshape(-1, *(1,) * (sums.ndim - 1))

    bounds = (rows.min(axis=1), rows.max(axis=1)) if rows.shape[1] else (-math.inf, math.inf)
    return bootstrap(rows - start, means, bounds)


def mean_estimate(values: Sequence[float]) -> Estimate:
    """Computes the mean over the cases that have a value."""
    values = np.asarray(values, dtype=float)
    return mean_estimates(values[None, ~np.isnan(values)])[0]


def ratio_estimates(numerators: Sequence[Sequence[float]], denominator: Sequence[float]) -> list[Estimate]:
    """Computes sum(numerator) / sum(denominator) over cases, for each numerator.

    Cases whose denominator is 0 are left out. Proportions of lesions and pooled Dice are such ratios.
    """
    rows = np.array([*numerators, denominator], dtype=float)
    rows = rows[:, rows[-1] > 0]
    ratios = rows[:-1] / rows[-1]
    # A ratio of sums lies between the ratios of the summands.
    bounds = (ratios.min(axis=1), ratios.max(axis=1)) if rows.shape[1] else (-math.inf, math.inf)
    return bootstrap(rows, lambda sums, _: sums[:-1] / sums[-1], bounds)


def ratio_estimate(numerator: Sequence[float], denominator: Sequence[float]) -> Estimate:
    """Computes `ratio_estimates` of one numerator."""
    return ratio_estimates([numerator], denominator)[0]


def lin_ccc(x: Sequence[float], y: Sequence[float]) -> Estimate:
    """Computes Lin's concordance correlation coefficient with variances over n (Lin 1989, doi:10.2307/2532051).

    One case has no concordance: the value is undefined.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if len(x) == 1:
        x, y = x[:0], y[:0]
    if len(x):
        # A common shift changes nothing and keeps the squares small.
        x, y = x - x.mean(), y - x.mean()
    return bootstrap(np.stack([x, y, x * x, y * y, x * y]), _concordance, (-1.0, 1.0))[0]


def _concordance(sums: np.ndarray, n: int) -> np.ndarray:
    x, y, xx, yy, xy = sums / n
    return 2 * (xy - x * y)[None] / ((xx - x * x) + (yy - y * y) + (x - y) ** 2)


def aggregate(values: pd.DataFrame, reasons: Sequence[str]) -> dict[str, Aggregate]:
    """Summarises every column of `values` over its rows, the cases.

    Args:
        reasons: for each case, why a value of it is undefined.
    """
    matrix = values.to_numpy(float).T
    undefined = np.isnan(matrix)
    result: dict[str, Aggregate] = {}
    # Columns that are undefined in the same cases share their resamples.
    for pattern in np.unique(undefined, axis=0):
        columns = np.flatnonzero((undefined == pattern).all(axis=1))
        defined = matrix[columns][:, ~pattern]
        n = defined.shape[1]
        why = dict(Counter(reason for reason, missing in zip(reasons, pattern, strict=True) if missing))
        for column, row, mean in zip(columns, defined, mean_estimates(defined), strict=True):
            result[values.columns[column]] = Aggregate(
                n=n,
                undefined=int(pattern.sum()),
                reasons=why,
                mean=mean.value,
                median=float(np.median(row)) if n else math.nan,
                sd=float(row.std(ddof=1)) if n > 1 else math.nan,
                low=mean.low,
                high=mean.high,
                interval=mean.interval,
            )
    return {column: result[column] for column in values.columns}
