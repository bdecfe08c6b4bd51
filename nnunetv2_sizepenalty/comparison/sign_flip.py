"""Paired permutation tests of two models: within each patient A and B change places, and how often is that as extreme?

The statistic of a metric is |sum d| / sqrt(sum d^2) over the patients' summed differences d = A - B: large differences
count as such, unlike in a test on ranks. Its denominator is the same under every flip of signs, and is the root mean
square of the numerator over all of them. So figures without case differences (pooled Dice, Lin's concordance, lesions
found) are divided by theirs too, and one maximum over a table's statistics corrects all of them (Westfall and Young
1993): metrics that move together cost less than under Holm.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

ALPHA = 0.05
# all patterns of signs up to this many patients, that many random ones above
EXACT_TO = 15
DRAWS = 20_000
# of the power: studies, patterns of each, and how often the shift is doubled and its range halved
SIMULATIONS, PATTERNS, DOUBLINGS, BISECTIONS = 200, 1000, 12, 8
# statistics that are equal but for rounding count as equal
TOLERANCE = 1e-9


@lru_cache(maxsize=2)
def sign_patterns(patients: int) -> np.ndarray:
    """Draws the patterns of a test: +1 where a patient's models keep their places, -1 where they change them.

    Returns:
        float (patterns, patients), the observed pattern (all +1) first. Up to `EXACT_TO` patients every pattern once,
        but for its mirror image, whose statistic is the same; above, the observed one and `DRAWS` random ones.
    """
    if patients <= EXACT_TO:
        bits = np.arange(2 ** max(patients - 1, 0))[:, None] >> np.arange(patients)[None] & 1
        return 1.0 - 2.0 * bits
    drawn = np.random.default_rng(0).integers(0, 2, (DRAWS, patients), dtype=np.int8)
    return np.concatenate([np.ones((1, patients)), 1.0 - 2.0 * drawn])


def swaps_under(
    patterns: np.ndarray, first: np.ndarray, second: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Differences of a figure that has no case differences, under each pattern in which patients swap their models.

    Args:
        patterns: (patterns, patients).
        first, second: what each patient adds to the sums that the figure is made of, (patients, sums).
        statistic: sums (..., sums) to the figure (...).

    Returns:
        statistic of the second minus that of the first model, (patterns,).
    """
    both, apart = (first + second).sum(0) / 2, (second - first) / 2
    swapped = patterns @ apart
    return statistic(both + swapped) - statistic(both - swapped)


@dataclass(frozen=True)
class Tested:
    """p values of a table, (statistics,): each alone, and corrected by the maximum over all of them.

    NaN where a statistic is undefined as observed; 1 where no pattern changes it. `level` is what a p alone must not
    exceed for the corrected one to be below `ALPHA`; 0 where no p is so small.
    """

    p: np.ndarray
    p_corrected: np.ndarray
    level: np.ndarray


def p_values(values: np.ndarray) -> Tested:
    """Compares the observed values with those under all patterns.

    Args:
        values: (patterns, statistics), the observed ones first: `swaps_under` of each figure, side by side. NaN under a
            pattern that leaves a figure undefined counts as extreme, so that it can't make a verdict.
    """
    undefined = np.isnan(values[0])
    size = np.abs(np.where(np.isnan(values), np.inf, values))
    with np.errstate(invalid="ignore"):
        scale = np.sqrt(np.mean(np.where(np.isfinite(size), size, 0) ** 2, axis=0))
    standard = np.divide(size, scale, out=np.zeros_like(size), where=scale > 0)
    standard[:, undefined] = 0
    observed = standard[0] * (1 - TOLERANCE)
    largest = np.sort(standard.max(axis=1, initial=0))
    alone = (standard >= observed).mean(axis=0)
    together = 1 - np.searchsorted(largest, observed) / len(largest)
    # the smallest statistic that fewer than 5 % of the maxima reach
    above = largest[np.ceil(len(largest) * (1 - ALPHA) + TOLERANCE).astype(int) - 1]
    level = (standard > above * (1 + TOLERANCE)).mean(axis=0)
    return Tested(np.where(undefined, np.nan, alone), np.where(undefined, np.nan, together), level)


def smallest_p(patients: int) -> float:
    """Tells the smallest p that this many patients can give: 2 of all patterns, the observed one and its mirror."""
    return 2.0 ** (1 - patients) if patients else 1.0


def smallest_detectable(differences: np.ndarray, level: float = ALPHA, power: float = 0.8) -> float:
    """Finds the mean difference that this test shows with 80 % power, given how the patients scatter.

    The centred differences are resampled and shifted until the share of tests with p at or below `level` is `power`.

    Args:
        differences: of each patient, (patients,); the shift is per patient.
        level: of the single test: `Tested.level` where it is corrected.

    Returns:
        NaN below two patients, infinity where so few can show nothing, 0 where nothing scatters.
    """
    n = len(differences)
    if n < 2:
        return np.nan
    if smallest_p(n) >= ALPHA:
        return np.inf
    scatter = differences - differences.mean()
    spread = scatter.std(ddof=1)
    if spread <= TOLERANCE * np.abs(differences).max():
        return 0.0
    if smallest_p(n) > level:
        return np.inf
    rng = np.random.default_rng(0)
    drawn = scatter[rng.integers(0, n, (SIMULATIONS, n))]
    patterns = sign_patterns(n)
    if len(patterns) > PATTERNS:
        chosen = rng.choice(len(patterns) - 1, PATTERNS - 1, replace=False) + 1
        patterns = np.concatenate([patterns[:1], patterns[chosen]])
    noise, direction = drawn @ patterns.T, patterns.sum(axis=1)
    level = max(level, 1 / len(patterns))

    def shown(shift: float) -> float:
        size = np.abs(noise + shift * direction)
        return float(((size >= size[:, :1] * (1 - TOLERANCE)).mean(axis=1) <= level * (1 + TOLERANCE)).mean())

    low, high = 0.0, spread
    for _ in range(DOUBLINGS):
        if shown(high) >= power:
            break
        low, high = high, 2 * high
    else:
        return np.inf
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if shown(middle) < power else (low, middle)
    return high
