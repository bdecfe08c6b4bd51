"""Which candidate is best, and what the choice is worth on cases that it has not seen."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.thresholds import DEFAULT_THRESHOLD, logit
from nnunetv2_sizepenalty.operating_point.candidates import NO_FILTER, Candidates
from nnunetv2_sizepenalty.operating_point.counts import CaseCounts
from nnunetv2_sizepenalty.operating_point.point import Cut
from nnunetv2_sizepenalty.operating_point.scores import Objective, Scores, score_cases

# Means that differ by rounding alone are a tie.
_TIE = 1e-12


@dataclass(frozen=True)
class Choice:
    """The best candidate.

    Attributes:
        cut: threshold and smallest component.
        score: its objective on the cases that it was chosen on.
        edge: what lies at an end of its grid, so that the best may lie beyond: "lowest threshold", "highest threshold"
            or "largest size"; empty otherwise.
        all_tied: whether every candidate has this score, so that nothing was chosen.
    """

    cut: Cut
    score: float
    edge: tuple[str, ...]
    all_tied: bool = False


def choose(scores: Scores, candidates: Candidates, objective: Objective) -> Choice:
    """The candidate with the best objective. A tie goes to the threshold nearest 0.5, then to the smallest size.

    Raises:
        UserError: no candidate is eligible.
    """
    value = np.where(candidates.searched, scores.objective(objective), np.nan)
    if np.isnan(value).all():
        fewest = np.nanmin(np.where(candidates.searched, scores.values["false_positives_per_case"], np.nan))
        raise UserError(
            f"no candidate has a score under {objective}: there is no lesion, or there are always more false positives "
            f"per case (the fewest: {fewest:.3g}); name higher --thresholds, larger filters or another --objective"
        )
    best = np.nanmax(value)
    tied = np.argwhere(value >= best - _TIE)
    thresholds, sizes = candidates.counted_thresholds, candidates.counted_sizes
    row, column = min(
        tied.tolist(), key=lambda c: (round(abs(float(logit(thresholds[c[0]]))), 9), sizes[c[1]], thresholds[c[0]])
    )
    cut = Cut(thresholds[row], sizes[column])
    eligible = np.isfinite(value).sum()
    return Choice(
        cut,
        score=float(scores.values[objective.score][row, column]),
        edge=_edge(cut, candidates),
        all_tied=bool(1 < eligible == len(tied)),
    )


def _edge(cut: Cut, candidates: Candidates) -> tuple[str, ...]:
    searched = candidates.thresholds
    found = {
        "lowest threshold": len(searched) > 1 and cut.threshold == searched[0],
        "highest threshold": len(searched) > 1 and cut.threshold == searched[-1],
        "largest size": len(candidates.sizes) > 1 and cut.min_size == candidates.sizes[-1],
    }
    return tuple(name for name, is_there in found.items() if is_there)


def value_at(scores: Scores, candidates: Candidates, cut: Cut, name: str) -> float:
    """One score of one candidate."""
    row = candidates.counted_thresholds.index(cut.threshold)
    column = candidates.counted_sizes.index(cut.min_size)
    return float(scores.values[name][row, column])


def baselines(candidates: Candidates) -> dict[str, Cut]:
    """What a choice is compared with: 0.5 with the filter that is set (none where one is searched), nnU-Net's cut."""
    size = candidates.sizes[0] if len(candidates.sizes) == 1 else NO_FILTER
    return {"at_half": Cut(DEFAULT_THRESHOLD, size), "nnunet": Cut(DEFAULT_THRESHOLD, NO_FILTER)}


@dataclass(frozen=True)
class CrossFit:
    """What a choice is worth, per fold or as their mean, in the objective's score.

    Attributes:
        chosen: the cut chosen on the other folds' cases, empty for the mean.
        cross_fitted: its score on this fold's cases: the honest one.
        optimistic: the score of the cut that was chosen on these very cases.
        at_half, nnunet: see `baselines`.
    """

    cross_fitted: float
    optimistic: float
    at_half: float
    nnunet: float
    chosen: Cut | None = None


def cross_fit(
    folds: Mapping[str, Mapping[str, CaseCounts]], candidates: Candidates, objective: Objective
) -> dict[str, CrossFit]:
    """Chooses for each fold on the others' cases and scores it on its own.

    Args:
        folds: fold -> case -> counts.

    Returns:
        One entry per fold and "mean", the mean over the folds (a fold without a score left out).

    Raises:
        UserError: there is one fold.
    """
    if len(folds) < 2:
        raise UserError("--cross-fit needs several folds: name them with -f")
    results = {}
    for fold, own in folds.items():
        others = {case: counts for other in folds if other != fold for case, counts in folds[other].items()}
        unseen = [counts for case, counts in others.items() if case not in own]
        if not unseen:
            raise UserError(f"fold {fold} validates every case of the others: --cross-fit needs folds that differ")
        scores = score_cases(list(own.values()))
        cuts = {
            "cross_fitted": choose(score_cases(unseen), candidates, objective).cut,
            "optimistic": choose(scores, candidates, objective).cut,
            **baselines(candidates),
        }
        values = {name: value_at(scores, candidates, cut, objective.score) for name, cut in cuts.items()}
        results[fold] = CrossFit(**values, chosen=cuts["cross_fitted"])
    return {**results, "mean": _mean(list(results.values()))}


def _mean(results: Sequence[CrossFit]) -> CrossFit:
    rows = [asdict(result) for result in results]
    names = ("cross_fitted", "optimistic", "at_half", "nnunet")
    values = {name: np.array([row[name] for row in rows]) for name in names}
    return CrossFit(**{n: float(np.nanmean(v)) if np.isfinite(v).any() else float("nan") for n, v in values.items()})
