"""The choice of a cut, and what it is worth on cases that it has not seen."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation.nan_json import Number
from nnunetv2_sizepenalty.operating_point.count_case import CaseCounts
from nnunetv2_sizepenalty.operating_point.grid import Cut, ThresholdGrid
from nnunetv2_sizepenalty.operating_point.objective import Objective
from nnunetv2_sizepenalty.operating_point.plateau import plateau
from nnunetv2_sizepenalty.operating_point.scores import Scores


@dataclass(frozen=True)
class Choice:
    """The best cut.

    Attributes:
        threshold, min_size: the cut.
        score: its objective on the cases that it was chosen on.
        score_at_half, score_nnunet: that of `ThresholdGrid.baselines`.
        edge: the ends of the search that it lies at, see `ThresholdGrid.edges`.
        all_tied: whether every cut has this score, so that nothing was chosen.
        within_one_se: the ends of the run of thresholds that are as good, see `plateau`; None in files of 0.1.0.
    """

    threshold: float
    min_size: float
    score: Number
    score_at_half: Number
    score_nnunet: Number
    edge: tuple[str, ...] = ()
    all_tied: bool = False
    within_one_se: tuple[float, float] | None = None

    @property
    def cut(self) -> Cut:
        return Cut(self.threshold, self.min_size)


def choose(scores: Scores, objective: Objective) -> Choice:
    """Chooses the best cut and compares it with the baselines.

    Raises:
        UserError: no cut is eligible.
    """
    cut = scores.best(objective)
    compared = {name: scores.at(baseline)[objective.score] for name, baseline in scores.grid.baselines.items()}
    return Choice(
        cut.threshold,
        cut.min_size,
        score=scores.at(cut)[objective.score],
        score_at_half=compared["at_half"],
        score_nnunet=compared["nnunet"],
        edge=scores.grid.edges(cut),
        all_tied=scores.all_tied(objective),
        within_one_se=plateau(scores, cut, objective) if scores.fractions else None,
    )


@dataclass(frozen=True)
class CrossFit:
    """What a choice is worth, per fold or as their mean, in the objective's score.

    Attributes:
        cross_fitted: the score on this fold's cases of the cut that was chosen on the other folds': the honest one.
        optimistic: the score of the cut that was chosen on these very cases.
        at_half, nnunet: that of `ThresholdGrid.baselines`.
        chosen: the cut chosen on the other folds' cases, None for the mean.
    """

    cross_fitted: Number
    optimistic: Number
    at_half: Number
    nnunet: Number
    chosen: Cut | None = None


def check_cross_fit(folds: Mapping[str, Collection[str]]) -> None:
    """Raises UserError where there is one fold, or one (fold -> cases) leaves none to choose on."""
    if len(folds) < 2:
        raise UserError("--cross-fit needs several folds: name them with -f")
    for fold, own in folds.items():
        if not {case for other in folds.values() for case in other} - set(own):
            raise UserError(f"fold {fold} validates every case of the others: --cross-fit needs folds that differ")


def cross_fit(
    folds: Mapping[str, Mapping[str, CaseCounts]], grid: ThresholdGrid, objective: Objective
) -> dict[str, CrossFit]:
    """Chooses for each fold on the others' cases and scores it on its own.

    Args:
        folds: fold -> case -> counts.

    Returns:
        One entry per fold and "mean", the mean over the folds (a fold without a score left out).

    Raises:
        UserError: see `check_cross_fit`.
    """
    check_cross_fit(folds)
    results = {}
    for fold, own in folds.items():
        others = {case: counts for other in folds if other != fold for case, counts in folds[other].items()}
        unseen = [counts for case, counts in others.items() if case not in own]
        scores = Scores.of(list(own.values()), grid, objective.tau_ml)
        cuts = {
            "cross_fitted": Scores.of(unseen, grid, objective.tau_ml).best(objective),
            "optimistic": scores.best(objective),
            **grid.baselines,
        }
        values = {name: scores.at(cut)[objective.score] for name, cut in cuts.items()}
        results[fold] = CrossFit(**values, chosen=cuts["cross_fitted"])
    return {**results, "mean": _mean(list(results.values()))}


def _mean(results: Sequence[CrossFit]) -> CrossFit:
    rows = [asdict(result) for result in results]
    names = ("cross_fitted", "optimistic", "at_half", "nnunet")
    values = {name: np.array([row[name] for row in rows]) for name in names}
    return CrossFit(**{n: float(np.nanmean(v)) if np.isfinite(v).any() else float("nan") for n, v in values.items()})
