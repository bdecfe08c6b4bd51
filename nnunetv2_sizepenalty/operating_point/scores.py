"""The scores of candidates, from their counts; definitions are those of the evaluation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.operating_point.counts import CaseCounts

# Means over cases; NaN (undefined) where a case has nothing to score.
PER_CASE = ("dice", "pq", "lesion_f1", "rve")
POOLED = ("pooled_dice", "sensitivity", "false_positives_per_case")
OBJECTIVES = ("dice", "pooled_dice", "pq", "lesion_f1", "rve", "sensitivity@FP")


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


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """NaN where the denominator is 0."""
    numerator, denominator = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator != 0)


def case_scores(counts: CaseCounts) -> dict[str, np.ndarray]:
    """The scores `PER_CASE` of one case, each (thresholds, sizes)."""
    missed = counts.n_reference - counts.detected
    return {
        "dice": _ratio(2 * counts.true_positive, counts.prediction + counts.reference),
        "pq": _ratio(counts.matched_iou, (counts.n_prediction + counts.n_reference) / 2),
        "lesion_f1": _ratio(2 * counts.detected, 2 * counts.detected + missed + counts.false_positives),
        "rve": _ratio(np.abs(counts.prediction - counts.reference), counts.reference),
    }


@dataclass(frozen=True)
class Scores:
    """Scores of every candidate over some cases.

    Attributes:
        values: score -> (thresholds, sizes), the names in `PER_CASE` and `POOLED`.
        defined: over how many cases a mean of `PER_CASE` was taken, the same shapes.
        n_cases: all of them.
    """

    values: dict[str, np.ndarray]
    defined: dict[str, np.ndarray]
    n_cases: int

    def objective(self, objective: Objective) -> np.ndarray:
        """What is to be maximised, NaN where a candidate isn't eligible."""
        value = objective.sign * self.values[objective.score]
        too_many = self.values["false_positives_per_case"] > objective.most_false_positives
        return np.where(too_many, np.nan, value)


def score_cases(cases: Sequence[CaseCounts]) -> Scores:
    """Scores over cases: means of those where a score is defined, and pooled ones."""
    per_case = [case_scores(case) for case in cases]
    values, defined = {}, {}
    for name in PER_CASE:
        stack = np.stack([scores[name] for scores in per_case])
        defined[name] = np.isfinite(stack).sum(axis=0)
        values[name] = _ratio(np.nansum(stack, axis=0), defined[name])
    total = {name: sum(getattr(case, name) for case in cases) for name in CaseCounts.__dataclass_fields__}
    values["pooled_dice"] = _ratio(2 * total["true_positive"], total["prediction"] + total["reference"])
    values["sensitivity"] = _ratio(total["detected"], total["n_reference"])
    values["false_positives_per_case"] = total["false_positives"] / len(cases)
    return Scores(values, defined, len(cases))
