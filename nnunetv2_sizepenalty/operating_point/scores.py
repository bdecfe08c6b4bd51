"""The scores of a grid's cuts over cases, from their counts; definitions are those of the evaluation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.losses.size_term import CAP
from nnunetv2_sizepenalty.nnunet_io.thresholds import logit
from nnunetv2_sizepenalty.operating_point.count_case import CaseCounts
from nnunetv2_sizepenalty.operating_point.grid import Cut, Grid
from nnunetv2_sizepenalty.operating_point.objective import TAU_ML, Objective

# Means over cases; NaN (undefined) where a case has nothing to score.
PER_CASE = ("dice", "pq", "lesion_f1", "rve", "size_penalty")
POOLED = ("pooled_dice", "sensitivity", "false_positives_per_case")
# Means that differ by rounding alone are a tie.
TIE = 1e-12


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """NaN where the denominator is 0."""
    numerator, denominator = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator != 0)


def case_scores(counts: CaseCounts, tau_ml: float = TAU_ML) -> dict[str, np.ndarray]:
    """Returns the scores `PER_CASE` of one case, each (thresholds, sizes).

    `size_penalty` is the thesis's term of a cut mask: exp(-V_g / tau) min(c, |V_t - V_g| / V_g).
    """
    missed = counts.n_reference - counts.detected
    rve = ratio(np.abs(counts.prediction - counts.reference), counts.reference)
    return {
        "dice": ratio(2 * counts.true_positive, counts.prediction + counts.reference),
        "pq": ratio(counts.matched_iou, (counts.n_prediction + counts.n_reference) / 2),
        "lesion_f1": ratio(2 * counts.detected, 2 * counts.detected + missed + counts.false_positives),
        "rve": rve,
        "size_penalty": np.exp(-counts.reference * counts.voxel_ml / tau_ml) * np.minimum(CAP, rve),
    }


def fractions(cases: Sequence[CaseCounts], tau_ml: float = TAU_ML) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns each score as numerators and denominators per case, two arrays (cases, thresholds, sizes).

    A score of some cases is the sum of theirs over the sum of theirs. Of the means `PER_CASE` the denominator is 1
    where the case's score is defined, else 0.
    """
    per_case = [case_scores(case, tau_ml) for case in cases]
    found = {}
    for name in PER_CASE:
        values = np.stack([scores[name] for scores in per_case])
        found[name] = np.nan_to_num(values), np.isfinite(values).astype(np.int64)
    for name, top, bottom in (
        ("pooled_dice", lambda c: 2 * c.true_positive, lambda c: c.prediction + c.reference),
        ("sensitivity", lambda c: c.detected, lambda c: c.n_reference),
        ("false_positives_per_case", lambda c: c.false_positives, lambda c: 1),
    ):
        tops = np.stack([top(case) for case in cases])
        found[name] = tops, np.stack([np.broadcast_to(bottom(case), tops.shape[1:]) for case in cases])
    return found


@dataclass(frozen=True)
class Scores:
    """Scores of every cut of a grid over some cases.

    Attributes:
        grid: its counted thresholds and sizes are the axes of all arrays.
        values: score -> (thresholds, sizes), the names in `PER_CASE` and `POOLED`.
        defined: over how many cases a mean of `PER_CASE` was taken, the same shapes.
        n_cases: all of them.
        fractions: of each case, see `fractions`.
    """

    grid: Grid
    values: dict[str, np.ndarray]
    defined: dict[str, np.ndarray]
    n_cases: int
    fractions: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, cases: Sequence[CaseCounts], grid: Grid, tau_ml: float = TAU_ML) -> "Scores":
        """Scores cases that were counted on this grid; tau is the size penalty's."""
        parts = fractions(cases, tau_ml)
        values = {name: ratio(top.sum(axis=0), bottom.sum(axis=0)) for name, (top, bottom) in parts.items()}
        return cls(grid, values, {name: parts[name][1].sum(axis=0) for name in PER_CASE}, len(cases), parts)

    def at(self, cut: Cut) -> dict[str, float]:
        """Returns every score of one cut; ValueError for a cut that wasn't counted."""
        return {name: float(value[self.grid.position(cut)]) for name, value in self.values.items()}

    def eligible(self, objective: Objective) -> np.ndarray:
        """Returns what is to be maximised, (thresholds, sizes), NaN where a cut may not be chosen."""
        value = objective.sign * self.values[objective.score]
        too_many = self.values["false_positives_per_case"] > objective.most_false_positives
        return np.where(self.grid.searched & ~too_many, value, np.nan)

    def best(self, objective: Objective) -> Cut:
        """Returns the cut with the best objective. A tie goes to the threshold nearest 0.5, then to the smallest size.

        Raises:
            UserError: no cut is eligible.
        """
        value = self.eligible(objective)
        if np.isnan(value).all():
            fewest = np.nanmin(np.where(self.grid.searched, self.values["false_positives_per_case"], np.nan))
            raise UserError(
                f"no candidate has a score under {objective}: there is no lesion, or there are always more false "
                f"positives per case (the fewest: {fewest:.3g}); name higher --thresholds, larger filters or another "
                "--objective"
            )
        tied = [self.grid.cut(row, column) for row, column in np.argwhere(value >= np.nanmax(value) - TIE).tolist()]
        return min(tied, key=lambda cut: (round(abs(float(logit(cut.threshold))), 9), cut.min_size, cut.threshold))

    def all_tied(self, objective: Objective) -> bool:
        """Tells whether several cuts are eligible and none is better than another."""
        value = self.eligible(objective)
        eligible = value[np.isfinite(value)]
        return bool(len(eligible) > 1 and eligible.min() >= eligible.max() - TIE)

    def rows(self) -> Iterator[dict[str, float | int]]:
        """Yields each cut with its scores; `n_dice` and the like say over how many cases a mean was taken."""
        for row, threshold in enumerate(self.grid.counted_thresholds):
            for column, size in enumerate(self.grid.counted_sizes):
                yield {
                    "threshold": threshold,
                    "min_size": size,
                    **{name: float(value[row, column]) for name, value in self.values.items()},
                    **{f"n_{name}": int(count[row, column]) for name, count in self.defined.items()},
                    "n_cases": self.n_cases,
                }
