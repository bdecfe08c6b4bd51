"""What a comparison says in words: better, worse, or can't tell."""

import pandas as pd

from nnunetv2_sizepenalty.evaluation.metrics import METRICS
from nnunetv2_sizepenalty.evaluation.paired import CANNOT_TELL


def _listed(titles: list[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return titles[0] if len(titles) == 1 else f"{', '.join(titles[:-1])} and {titles[-1]}"


def headline(differences: pd.DataFrame) -> str:
    """Of the first model that is not the baseline: in how many metrics it differs.

    Args:
        differences: `scores.differences` of one stratum.
    """
    rows = differences[differences["model"] == differences["model"].iloc[0]]
    counts = rows["verdict"].value_counts()
    better, worse = counts.get("better", 0), counts.get("worse", 0)
    model, baseline = rows["model"].iloc[0], rows["baseline"].iloc[0]
    if not better and not worse:
        return f"{model} against {baseline}: can't tell."
    if better and worse:
        return f"{model} is better than {baseline} in {better} and worse in {worse} of {len(rows)} metrics."
    return f"{model} is {'better' if better else 'worse'} than {baseline} in {better or worse} of {len(rows)} metrics."


def sentences(differences: pd.DataFrame) -> list[str]:
    """One sentence a model: in which metrics it is better, worse, or nothing can be told."""
    lines = []
    for model, rows in differences.groupby("model", sort=False):
        parts = [
            f"{word} in {_listed([METRICS[name].title for name in chosen['metric']])}"
            for word, verdict in (("better", "better"), ("worse", "worse"), (CANNOT_TELL, CANNOT_TELL))
            if len(chosen := rows[rows["verdict"] == verdict])
        ]
        lines.append(f"{model} against {rows['baseline'].iloc[0]}: {'; '.join(parts)}.")
    return lines
