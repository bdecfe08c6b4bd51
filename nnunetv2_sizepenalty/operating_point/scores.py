"""The scores of a grid's cuts over cases, from their counts; definitions are those of the evaluation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation import formulas
from nnunetv2_sizepenalty.evaluation.formulas import Ratio
from nnunetv2_sizepenalty.losses.size_term import CAP
from nnunetv2_sizepenalty.nnunet_io.thresholds import logit
from nnunetv2_sizepenalty.operating_point.count_case import CaseCounts
from nnunetv2_sizepenalty.operating_point.grid import Cut, ThresholdGrid
from nnunetv2_sizepenalty.operating_point.objective import TAU_ML, Objective

# Means over cases; NaN (undefined) where a case has nothing to score.
PER_CASE = ("dice", "pq", "lesion_f1", "rve", "size_penalty")
POOLED = ("pooled_dice", "sensitivity", "false_positives_per_case")
# Means that differ by rounding alone are a tie.
TIE = 1e-12


def case_scores(counts: CaseCounts, tau_ml: float = TAU_ML) -> dict[str, np.ndarray]:
    """Returns the scores `PER_CASE` of one case, each (thresholds, sizes).

    `size_penalty` is the thesis's term of a cut mask: exp(-V_g / tau) min(c, |V_t - V_g| / V_g).
    """
    missed = counts.n_reference - counts.detected
    unmatched = counts.n_prediction - counts.matched, counts.n_reference - counts.matched
    rve = formulas.relative_volume_error(counts.prediction, counts.reference).value
    return {
        "dice": formulas.dice(counts.true_positive, counts.prediction, counts.reference).value,
        "pq": formulas.panoptic_quality(counts.matched_iou, counts.matched, *unmatched).value,
        "lesion_f1": formulas.lesion_f1(counts.detected, missed, counts.false_positives).value,
        "rve": rve,
        "size_penalty": np.exp(-counts.reference * counts.voxel_ml / tau_ml) * np.minimum(CAP, rve),
    }


def fractions(cases: Sequence[CaseCounts], tau_ml: float = TAU_ML) -> dict[str, Ratio]:
    """Returns each score as numerators and denominators per case, each (cases, thresholds, sizes).

    A score of some cases is the sum of theirs over the sum of theirs. Of the means `PER_CASE` the denominator is 1
    where the case's score is defined, else 0.
    """
    per_case = [case_scores(case, tau_ml) for case in cases]
    found = {}
    for name in PER_CASE:
        values = np.stack([scores[name] for scores in per_case])
        found[name] = Ratio(np.nan_to_num(values), np.isfinite(values).astype(np.int64))
    of_sums = {
        "pooled_dice": lambda c: formulas.dice(c.true_positive, c.prediction, c.reference),
        "sensitivity": lambda c: formulas.sensitivity(c.detected, c.n_reference),
        "false_positives_per_case": lambda c: Ratio(c.false_positives, np.ones_like(c.false_positives)),
    }
    for name, formula in of_sums.items():
        ratios = [formula(case) for case in cases]
        shape = ratios[0].numerator.shape
        found[name] = Ratio(
            np.stack([ratio.numerator for ratio in ratios]),
            np.stack([np.broadcast_to(ratio.denominator, shape) for ratio in ratios]),
        )
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

    grid: ThresholdGrid
    values: dict[str, np.ndarray]
    defined: dict[str, np.ndarray]
    n_cases: int
    fractions: dict[str, Ratio] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, cases: Sequence[CaseCounts], grid: ThresholdGrid, tau_ml: float = TAU_ML) -> "Scores":
        """Scores cases that were counted on this grid; tau is the size penalty's."""
        parts = fractions(cases, tau_ml)
        sums = {name: Ratio(*(part.sum(axis=0) for part in of_name)) for name, of_name in parts.items()}
        values = {name: of_name.value for name, of_name in sums.items()}
        return cls(grid, values, {name: sums[name].denominator for name in PER_CASE}, len(cases), parts)

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
            # above thresholds that follow the data nothing is left but probabilities of 1
            thresholds = "" if self.grid.follows_data else "higher --thresholds, "
            raise UserError(
                f"no candidate has a score under {objective}: there is no lesion, or there are always more false "
                f"positives per case (the fewest: {fewest:.3g}); name {thresholds}larger --min-voxels or another "
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
