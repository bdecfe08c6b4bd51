"""Which cases the page carries whole, for its viewer, and which of them first."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation.kinds import REFERENCE
from nnunetv2_sizepenalty.evaluation.metrics import unit_of
from nnunetv2_sizepenalty.evaluation.records import Evaluation

PER_GROUP = 3
NAMED, OVERSIZED, MISSED = "named", "oversized predictions", "largest missed lesions"
WORST, MEDIAN, BEST = "lowest Dice", "median Dice", "highest Dice"


def choose_cases(evaluation: Evaluation, named: Sequence[str] = (), per_group: int = PER_GROUP) -> dict[str, str]:
    """Case -> why it is shown, in the order of the viewer's list: the named ones, those with the most oversized
    predicted lesions, those with the largest missed ones, then lowest, median and highest Dice.

    A case's Dice is the mean over the labels that have one. A case is listed once, under the first reason.

    Raises:
        UserError: a named case was not evaluated.
    """
    known = set(evaluation.cases["case"])
    unknown = [case for case in named if case not in known]
    if unknown:
        raise UserError(
            f"--cases: {', '.join(unknown)} not among the {len(known)} evaluated cases, such as {min(known)}"
        )
    lesions = evaluation.lesions
    missed = lesions[(lesions["kind"] == REFERENCE) & ~lesions["detected"].astype(bool)]
    missed = missed.sort_values(unit_of(missed).column("volume"), ascending=False, kind="stable")[
        "case"
    ].drop_duplicates()
    dice = evaluation.cases.groupby("case", sort=True)["dice"].mean().dropna().sort_values(kind="stable")
    ranked = dice.index.to_list()
    middle = max(0, (len(ranked) - per_group) // 2)
    groups = {
        NAMED: list(named),
        OVERSIZED: _most_oversized(evaluation)[:per_group],
        MISSED: missed.to_list()[:per_group],
        WORST: ranked[:per_group],
        MEDIAN: ranked[middle : middle + per_group],
        BEST: ranked[::-1][:per_group],
    }
    chosen: dict[str, str] = {}
    for reason, cases in groups.items():
        for case in cases:
            chosen.setdefault(case, reason)
    # Nothing with a Dice: lesion-free cases predicted empty. Show some all the same.
    return chosen or dict.fromkeys(sorted(known)[:per_group], MEDIAN)


def _most_oversized(evaluation: Evaluation) -> list[str]:
    """Cases with a component far larger than the lesions that it touches, the worst first."""
    times: dict[str, float] = {}
    for label in evaluation.summary.labels.values():
        for case, of in label.share.oversized.items() if label.share else ():
            times[case] = max(times.get(case, 0), *(one.times for one in of))
    return sorted(times, key=lambda case: (-times[case], case))


def by_importance(chosen: Mapping[str, str]) -> list[str]:
    """The chosen cases (case -> why), most important first: the named ones, then of each reason one, and so on."""
    reasons: dict[str, list[str]] = {}
    for case, reason in chosen.items():
        reasons.setdefault(reason, []).append(case)
    named = reasons.pop(NAMED, [])
    rounds = zip_longest(*reasons.values())
    return [*named, *(case for cases in rounds for case in cases if case is not None)]
