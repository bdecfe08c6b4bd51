"""The scores of a grid's cuts over cases, from their counts; definitions are those of the evaluation."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation import formulas
from nnunetv2_sizepenalty.nnunet_io.thresholds import logit
from nnunetv2_sizepenalty.operating_point.count_case import CaseCounts
from nnunetv2_sizepenalty.operating_point.grid import Cut, Grid

# Means over cases; NaN (undefined) where a case has nothing to score.
PER_CASE = ("dice", "pq", "lesion_f1", "rve")
POOLED = ("pooled_dice", "sensitivity", "false_positives_per_case")
OBJECTIVES = ("dice", "pooled_dice", "pq", "lesion_f1", "rve", "sensitivity@FP")
# Means that differ by rounding alone are a tie.
_TIE = 1e-12


@dataclass(frozen=True)
class Objective:
    """What is chosen for: a score, and with "sensitivity@2" the most false positives per case that it may cost."""

    score: str = "dice"
    most_false_positives: float = math.inf

    @classmethod
    def parse(cls, text: str) -> "Objective":
        """Reads dice, pooled_dice, pq, lesion_f1, rve or sensitivity@FP; UserError for anything else."""
        score, at, number = text.partition("@")
        try:
            if (score == "sensitivity") == bool(at) and score in (*PER_CASE, "pooled_dice", "sensitivity"):
                return cls(score, float(number) if at else math.inf)
        except ValueError:
            pass
        raise UserError(f"--objective {text}: it is one of {', '.join(OBJECTIVES)}, such as sensitivity@2")

    def __str__(self) -> str:
        return self.score if math.isinf(self.most_false_positives) else f"{self.score}@{self.most_false_positives:g}"

    @property
    def sign(self) -> int:
        """+1 where more is better, -1 where less is."""
        return -1 if self.score == "rve" else 1


def case_scores(counts: CaseCounts) -> dict[str, np.ndarray]:
    """Returns the scores `PER_CASE` of one case, each (thresholds, sizes)."""
    missed = counts.n_reference - counts.detected
    unmatched = counts.n_prediction - counts.matched, counts.n_reference - counts.matched
    ratios = {
        "dice": formulas.dice(counts.true_positive, counts.prediction, counts.reference),
        "pq": formulas.panoptic_quality(counts.matched_iou, counts.matched, *unmatched),
        "lesion_f1": formulas.lesion_f1(counts.detected, missed, counts.false_positives),
        "rve": formulas.relative_volume_error(counts.prediction, counts.reference),
    }
    return {name: ratio.value for name, ratio in ratios.items()}


def mean_scores(cases: Sequence[CaseCounts]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Returns the means `PER_CASE` over those cases where the score is defined, and how many these are."""
    per_case = [case_scores(case) for case in cases]
    means, defined = {}, {}
    for name in PER_CASE:
        stack = np.stack([scores[name] for scores in per_case])
        defined[name] = np.isfinite(stack).sum(axis=0)
        means[name] = formulas.Ratio(np.nansum(stack, axis=0), defined[name]).value
    return means, defined


def pooled_scores(cases: Sequence[CaseCounts]) -> dict[str, np.ndarray]:
    """Returns the scores `POOLED`, of the sums of the cases' counts."""
    total = {name: sum(getattr(case, name) for case in cases) for name in CaseCounts.__dataclass_fields__}
    return {
        "pooled_dice": formulas.dice(total["true_positive"], total["prediction"], total["reference"]).value,
        "sensitivity": formulas.sensitivity(total["detected"], total["n_reference"]).value,
        "false_positives_per_case": total["false_positives"] / len(cases),
    }


@dataclass(frozen=True)
class Scores:
    """Scores of every cut of a grid over some cases.

    Attributes:
        grid: its counted thresholds and sizes are the axes of all arrays.
        values: score -> (thresholds, sizes), the names in `PER_CASE` and `POOLED`.
        defined: over how many cases a mean of `PER_CASE` was taken, the same shapes.
        n_cases: all of them.
    """

    grid: Grid
    values: dict[str, np.ndarray]
    defined: dict[str, np.ndarray]
    n_cases: int

    @classmethod
    def of(cls, cases: Sequence[CaseCounts], grid: Grid) -> "Scores":
        """Scores cases that were counted on this grid."""
        means, defined = mean_scores(cases)
        return cls(grid, means | pooled_scores(cases), defined, len(cases))

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
        tied = [self.grid.cut(row, column) for row, column in np.argwhere(value >= np.nanmax(value) - _TIE).tolist()]
        return min(tied, key=lambda cut: (round(abs(float(logit(cut.threshold))), 9), cut.min_size, cut.threshold))

    def all_tied(self, objective: Objective) -> bool:
        """Tells whether several cuts are eligible and none is better than another."""
        value = self.eligible(objective)
        eligible = value[np.isfinite(value)]
        return bool(len(eligible) > 1 and eligible.min() >= eligible.max() - _TIE)

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
