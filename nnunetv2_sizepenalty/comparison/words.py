"""What a comparison says in words: better, worse, or can't tell; of what, and what its cases can never show."""

from collections.abc import Sequence

import pandas as pd

from nnunetv2_sizepenalty.comparison.floor import ENOUGH
from nnunetv2_sizepenalty.comparison.models import Model
from nnunetv2_sizepenalty.comparison.paired import CANNOT_TELL
from nnunetv2_sizepenalty.comparison.pooled import ENDPOINTS
from nnunetv2_sizepenalty.comparison.sign_flip import ALPHA, smallest_p
from nnunetv2_sizepenalty.pages.numbers import number, plural

# The smallest p is said where it matters.
TOLD = 0.001


def _listed(titles: list[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return titles[0] if len(titles) == 1 else f"{', '.join(titles[:-1])} and {titles[-1]}"


def of_methods(models: Sequence[Model]) -> bool:
    """Whether every model was trained often enough to speak of more than the trained models at hand."""
    return min(len(model.repeats) for model in models) >= ENOUGH


def headline(differences: pd.DataFrame, *, methods: bool = False) -> str:
    """Of the first model that is not the baseline: in how many figures it differs.

    Args:
        differences: `scores.differences` of one stratum.
        methods: `of_methods`.
    """
    rows = differences[differences["model"] == differences["model"].iloc[0]]
    counts = rows["verdict"].value_counts()
    better, worse = counts.get("better", 0), counts.get("worse", 0)
    model, baseline = rows["model"].iloc[0], rows["baseline"].iloc[0]
    if not better and not worse:
        return f"{model} against {baseline}: {CANNOT_TELL}."
    of = "" if methods else "Of these two trained models, "
    if better and worse:
        return f"{of}{model} is better than {baseline} in {better} and worse in {worse} of {len(rows)} metrics."
    word = "better" if better else "worse"
    return f"{of}{model} is {word} than {baseline} in {better or worse} of {len(rows)} metrics."


def sentences(differences: pd.DataFrame) -> list[str]:
    """One sentence a model: in which metrics it is better, worse, or nothing can be told."""
    lines = []
    for model, rows in differences.groupby("model", sort=False):
        parts = [
            f"{word} in {_listed([ENDPOINTS[name].title for name in chosen['metric']])}"
            for word, verdict in (("better", "better"), ("worse", "worse"), (CANNOT_TELL, CANNOT_TELL))
            if len(chosen := rows[rows["verdict"] == verdict])
        ]
        lines.append(f"{model} against {rows['baseline'].iloc[0]}: {'; '.join(parts)}.")
    return lines


def limits(patients: int, differences: pd.DataFrame) -> str:
    """What so many patients can never show, whatever their scores.

    Args:
        differences: `scores.differences` over all cases.
    """
    p, people = smallest_p(patients), plural(patients, "patient")
    if p >= ALPHA:
        return (
            f"{people} can show nothing: a model that is better in each of them has p = {number(p, 2)}. "
            f"Every verdict of this page is “{CANNOT_TELL}”."
        )
    if 2 * p >= ALPHA:
        return (
            f"{people} can show only what is better in all {patients} of them, p = {number(p, 2)}: a primary endpoint "
            "(--primary, named before looking). Any other metric must also be more consistent than each figure of its "
            "table can look by chance."
        )
    least = differences.loc[differences["metric"] == "dice", "detectable"].min()
    never = [f"can show no p below {number(p, 2)}, however much the models differ"] * (p >= TOLD)
    if 0 < least < float("inf"):
        never.append(f"would miss a difference in Dice below {number(least)} more often than one time in five")
    never = never or ["are many; what they would have shown of each metric stands in the table of differences"]
    return f"{people} {', and '.join(never)}."


def scope(models: Sequence[Model], *, shared_seeds: bool) -> str:
    """Whether the page is about methods or about the trained models at hand."""
    counts = sorted({len(model.repeats) for model in models})
    trained = "these two trained models" if len(models) == 2 else f"these {len(models)} trained models"
    if not of_methods(models):
        return (
            f"With fewer than {ENOUGH} repeats of each, everything here is about {trained}, never about methods: "
            "training them again might turn the sign round."
        )
    repeats = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
    unit = "their seeds are shared, so the unit is the pair" if shared_seeds else "unpaired, their seeds are not shared"
    return f"{repeats} repeats of each model; {unit}. A verdict must pass what repeating the training does by itself."
