"""What repeating the training alone does to a difference: the noise floor, and a p over the repeats.

A difference of two models' repeats is their values in one direction; the rest of them is noise. Its share in the whole,
the cosine of an angle, is Student's t in another form. So a table's figures can be compared with what they would be in
other directions, and the maximum over the figures corrects, as it does over patients. Two sets of directions are asked:

- all of them (random ones): of normal values exact, however few repeats there are (rotation test, Langsrud 2005,
  doi:10.1007/s11222-005-4789-5);
- those in which the repeats exchange their models: exact of any values, so for trainings of which some take off and
  others don't, once there are enough exchanges to give a p below 5 %.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from nnunetv2_sizepenalty.comparison.sign_flip import ALPHA, DRAWS, TOLERANCE, sign_patterns

# Below so many repeats nothing is said of methods, only of the trained models at hand.
ENOUGH = 3


@dataclass(frozen=True)
class RepeatNoise:
    """One figure of two models' repeats.

    Attributes:
        values: differences of pairs, (k,), or of both models from their common mean, (n,); NaN where there is none.
        first: how many of them are the baseline's; 0 where they are pairs.
    """

    values: np.ndarray
    first: int = 0

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the noise; 0 where no model was repeated."""
        return len(self.values) - (2 if self.first else 1)

    @property
    def scale(self) -> float:
        """The standard error in standard deviations of the noise."""
        n, k = len(self.values), self.first
        return math.sqrt(1 / k + 1 / (n - k)) if k else 1 / math.sqrt(n)

    @property
    def direction(self) -> np.ndarray:
        """The difference's own direction, of length 1."""
        n, k = len(self.values), self.first
        return np.r_[np.full(k, -1 / k), np.full(n - k, 1 / (n - k))] / self.scale if k else np.full(n, self.scale)

    @property
    def floor(self) -> float:
        """The difference that 95 % of such differences are smaller than; NaN without noise to judge by."""
        if not self.freedom:
            return np.nan
        noise = self.values - (self.direction @ self.values) * self.direction
        deviation = math.sqrt((noise @ noise) / self.freedom)
        # what rounding leaves of equal repeats
        if deviation < TOLERANCE * np.abs(self.values).max(initial=0):
            return 0.0
        return float(stats.t.ppf(1 - ALPHA / 2, self.freedom) * deviation * self.scale)

    def rotations(self) -> np.ndarray:
        """Draws directions of any kind, (directions, values)."""
        drawn = np.random.default_rng(0).normal(size=(DRAWS, len(self.values)))
        drawn = np.concatenate([self.direction[None], drawn - drawn.mean(axis=1, keepdims=True) * bool(self.first)])
        return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)

    def exchanges(self) -> np.ndarray | None:
        """Lists the directions in which repeats exchange their models; None where they are too few for a p of 5 %."""
        n, k = len(self.values), self.first
        if not k:
            return sign_patterns(n) / math.sqrt(n) if 2.0 ** (1 - n) < ALPHA else None
        count = math.comb(n, k)
        if (1 + (2 * k == n)) / count >= ALPHA:
            return None
        if count > DRAWS:
            drawn = np.random.default_rng(0).permuted(np.tile(self.direction, (DRAWS, 1)), axis=1)
            return np.concatenate([self.direction[None], drawn])
        chosen = np.zeros((count, n), dtype=bool)
        for row, members in zip(chosen, itertools.combinations(range(n), k), strict=True):
            row[list(members)] = True
        return np.where(chosen, self.direction[0], self.direction[-1])


def repeat_noise(baseline: Sequence[float], model: Sequence[float], *, shared_seeds: bool = False) -> RepeatNoise:
    """Sets the figure of each repeat of two models beside each other.

    Args:
        baseline, model: the figure over the same cases, one value a repeat.
        shared_seeds: the i-th repeats of both were trained on the same batches. From three on the unit is the pair,
            and the floor t(0.975, k - 1) sd(model - baseline) / sqrt(k); else repeats are unpaired and their variance
            is pooled.
    """
    first, second = np.asarray(baseline, dtype=float), np.asarray(model, dtype=float)
    if shared_seeds and len(first) == len(second) >= ENOUGH:
        return RepeatNoise(second - first)
    both = np.r_[first, second]
    return RepeatNoise(both - both.mean(), len(first))


def repeat_p(noises: Sequence[RepeatNoise]) -> np.ndarray:
    """Computes p over the repeats of all figures of a table, corrected by their maximum, (figures,).

    NaN where there is no noise to judge by or a repeat has no value. Figures with other numbers of repeats are
    corrected by themselves, Bonferroni over such groups.
    """
    p = np.full(len(noises), np.nan)
    groups: dict[tuple[int, int], list[int]] = {}
    for i, noise in enumerate(noises):
        if noise.freedom and not np.isnan(noise.values).any():
            groups.setdefault((len(noise.values), noise.first), []).append(i)
    for members in groups.values():
        one = noises[members[0]]
        table = np.stack([noises[i].values for i in members], axis=1)
        length = np.linalg.norm(table, axis=0)
        table = np.divide(table, length, out=np.zeros_like(table), where=length > 0)
        observed = np.abs(one.direction @ table) * (1 - TOLERANCE)
        found = np.zeros(len(members))
        for directions in (one.rotations(), one.exchanges()):
            if directions is not None:
                largest = np.sort(np.abs(directions @ table).max(axis=1))
                found = np.maximum(found, 1 - np.searchsorted(largest, observed) / len(largest))
        p[members] = np.minimum(1, found * len(groups))
    return p
