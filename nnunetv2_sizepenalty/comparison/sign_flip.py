"""Paired permutation tests of two models: within each patient A and B change places, and how often is that as extreme?

The statistic of a metric is |sum d| / sqrt(sum d^2) over the patients' summed differences d = A - B: large differences
count as such, unlike in a test on ranks. Its denominator is the same under every flip of signs, and is the root mean
square of the numerator over all of them. So figures without case differences (pooled Dice, Lin's concordance, lesions
found) are divided by theirs too, and one maximum over a table's statistics corrects all of them (Westfall and Young
1993): metrics that move together cost less than under Holm.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

ALPHA = 0.05
# all patterns of signs up to this many patients, that many random ones above
EXACT_TO = 15
DRAWS = 20_000
# statistics that are equal but for rounding count as equal
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Patients:
    """Which cases are scans of one patient, to be flipped and resampled together.

    Attributes:
        of_case: the patient's number of each case, int (cases,), 0 to n - 1.
    """

    of_case: np.ndarray

    @classmethod
    def from_names(cls, names: Sequence[Hashable]) -> "Patients":
        """Numbers the patients of cases, whose names or keys are given in the order of the cases."""
        numbers: dict[Hashable, int] = {}
        return cls(np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=int))

    def __len__(self) -> int:
        return int(self.of_case.max()) + 1 if len(self.of_case) else 0

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sums values (cases, ...) over each patient's cases, (patients, ...); NaN counts as 0."""
        sums = np.zeros((len(self), *values.shape[1:]))
        np.add.at(sums, self.of_case, np.nan_to_num(values))
        return sums


def sign_patterns(patients: int, seed: int = 0) -> np.ndarray:
    """Draws the patterns of a test: +1 where a patient's models keep their places, -1 where they change them.

    Returns:
        float (patterns, patients), the observed pattern (all +1) first. Up to `EXACT_TO` patients every pattern once,
        but for its mirror image, whose statistic is the same; above, the observed one and `DRAWS` random ones.
    """
    if patients <= EXACT_TO:
        bits = np.arange(2 ** max(patients - 1, 0))[:, None] >> np.arange(patients)[None] & 1
        return 1.0 - 2.0 * bits
    drawn = np.random.default_rng(seed).integers(0, 2, (DRAWS, patients))
    return np.concatenate([np.ones((1, patients)), 1.0 - 2.0 * drawn])


def differences_under(patterns: np.ndarray, differences: np.ndarray) -> np.ndarray:
    """Sums of differences (patients, statistics) under each pattern of signs, (patterns, statistics)."""
    return patterns @ differences


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

    NaN where a statistic is undefined as observed; 1 where no pattern changes it.
    """

    p: np.ndarray
    p_corrected: np.ndarray


def p_values(values: np.ndarray) -> Tested:
    """Compares the observed values with those under all patterns.

    Args:
        values: (patterns, statistics), the observed ones first: `differences_under` and `swaps_under`, side by side.
            NaN under a pattern that leaves a figure undefined counts as extreme, so that it can't make a verdict.
    """
    undefined = np.isnan(values[0])
    size = np.abs(np.where(np.isnan(values), np.inf, values))
    with np.errstate(invalid="ignore"):
        scale = np.sqrt(np.mean(np.where(np.isfinite(size), size, 0) ** 2, axis=0))
    standard = np.divide(size, scale, out=np.zeros_like(size), where=scale > 0)
    standard[:, undefined] = 0
    observed = standard[0] * (1 - TOLERANCE)
    alone = (standard >= observed).mean(axis=0)
    together = (standard.max(axis=1, initial=0)[:, None] >= observed).mean(axis=0)
    return Tested(np.where(undefined, np.nan, alone), np.where(undefined, np.nan, together))


def smallest_p(patients: int) -> float:
    """Tells the smallest p that this many patients can give: 2 of all patterns, the observed one and its mirror."""
    return 2.0 ** (1 - patients) if patients else 1.0


def smallest_detectable(differences: np.ndarray, simulations: int = 400, power: float = 0.8) -> float:
    """Finds the mean difference that this test shows at 5 % with 80 % power, given how the patients scatter.

    The centred differences are resampled and shifted until the share of tests below 5 % is `power`. The shift is per
    patient.

    Args:
        differences: of each patient, (patients,).

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
    if spread == 0:
        return 0.0
    rng = np.random.default_rng(0)
    drawn = scatter[rng.integers(0, n, (simulations, n))]
    patterns = sign_patterns(n)
    if len(patterns) > 2000:
        patterns = np.concatenate([patterns[:1], patterns[rng.choice(len(patterns) - 1, 1999, replace=False) + 1]])
    noise, direction = drawn @ patterns.T, patterns.sum(axis=1)

    def shown(shift: float) -> float:
        size = np.abs(noise + shift * direction)
        return float(((size >= size[:, :1] * (1 - TOLERANCE)).mean(axis=1) < ALPHA).mean())

    low, high = 0.0, spread
    while shown(high) < power:
        low, high = high, 2 * high
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if shown(middle) < power else (low, middle)
    return high
