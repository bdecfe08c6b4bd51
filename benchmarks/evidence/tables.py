"""The page's tables as Markdown: models, differences from the baseline, lesions by size."""

import math
from collections.abc import Iterable, Sequence

import pandas as pd
from scores import LabelScores

from nnunetv2_sizepenalty.comparison.setting import THESIS_METRICS
from nnunetv2_sizepenalty.evaluation.metrics import METRICS
from nnunetv2_sizepenalty.pages.numbers import DASH, interval, number, size_name

# column of runs.csv -> heading
MODEL_COLUMNS = {
    "at_half_dice": "Dice at 0.5",
    "threshold": "tuned threshold",
    "dice": "Dice there",
    "average_precision": "average precision",
    "lesion_average_precision": "lesion-wise average precision",
    "lesion_f1": "lesion F1",
    "detection_rate": "detection",
    "false_positives": "false positives a case",
}


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def over_repeats(values: Iterable[float]) -> str:
    """Mean (lowest to highest) of the repeats that have a value."""
    known = [float(value) for value in values if value == value]
    if not known:
        return DASH
    text = number(sum(known) / len(known))
    return text if len(known) == 1 else f"{text} ({interval(min(known), max(known))})"


def model_table(scores: LabelScores) -> str:
    """Every model: means over the test cases, then over the repeats."""
    head = ["trainer", "repeats", *MODEL_COLUMNS.values()]
    rows = [
        [f"`{model}`", str(len(repeats)), *(over_repeats(repeats[column]) for column in MODEL_COLUMNS)]
        for model, repeats in scores.repeats.items()
    ]
    return (
        "Mean of the repeats (lowest to highest). Average precision is over voxels, case by case; detection, F1 and "
        "false positives are at the tuned threshold.\n\n" + markdown(head, rows)
    )


def difference_table(scores: LabelScores, counts: bool) -> str:
    """Every model against the baseline; no verdict where the baseline doesn't beat the floor, or nothing is known of
    what repeating a training alone does."""
    if not scores.differences:
        return "No second model is whole, so nothing is compared."
    rows = [["noise floor", *(_noise_floor(table) for table in scores.differences.values())]]
    for model in list(scores.repeats)[1:]:
        found = [table[table["model"] == model] for table in scores.differences.values()]
        rows.append([f"`{model}`", *(_difference(table.iloc[0], counts) if len(table) else DASH for table in found)])
    return (
        f"Difference from `{scores.baseline}` (95 % interval), paired by case, each case's mean over the repeats; "
        f"matched at its {number(scores.matched_rate)} false positives a case. Repeating the training alone makes 95 % "
        "of the differences that are below the noise floor: a verdict needs a corrected p < 0.05 and a "
        "difference above that.\n\n" + markdown(["trainer", *scores.differences], rows)
    )


def _noise_floor(table: pd.DataFrame) -> str:
    """Lowest to highest: models may have unequally many repeats."""
    floors = sorted({number(value) for value in table["noise_floor"].dropna()}, key=float)
    return " to ".join(dict.fromkeys((floors[0], floors[-1]))) if floors else "unknown"


def told(row: pd.Series, counts: bool) -> str:
    """The verdict, if one can be given."""
    return row["verdict"] if counts and math.isfinite(row["noise_floor"]) else ""


def _difference(row: pd.Series, counts: bool) -> str:
    text = f"{number(row['difference'])} ({interval(row['low'], row['high'])})"
    word = told(row, counts)
    return f"{text} **{word}**" if word in ("better", "worse") else text


def thesis_table(scores: LabelScores, counts: bool) -> str:
    """The thesis's metrics of every model, and in which of them it differs from the baseline."""
    head = ["trainer", *(METRICS[metric].title for metric in THESIS_METRICS), "better in", "worse in"]
    rows = []
    for model, repeats in scores.repeats.items():
        found = scores.thesis[scores.thesis["model"] == model]
        verdicts = [told(row, counts) for _, row in found.iterrows()]
        means = [number(repeats[metric].mean()) for metric in THESIS_METRICS]
        rows.append([f"`{model}`", *means, *(_titles(found, verdicts, word) for word in ("better", "worse"))])
    return (
        "The thesis's metrics at the tuned threshold, means over the cases that have a value and the repeats; better "
        f"and worse than `{scores.baseline}` by the rules of the table above, corrected over all of these.\n\n"
        + markdown(head, rows)
    )


def _titles(differences: pd.DataFrame, verdicts: Sequence[str], word: str) -> str:
    """The metrics with this verdict."""
    pairs = zip(differences["metric"], verdicts, strict=True)
    chosen = [METRICS[metric].title for metric, verdict in pairs if verdict == word]
    return ", ".join(chosen) or DASH


def size_table(scores: LabelScores) -> str:
    """Which share of the lesions of each size is detected, of all test cases together."""
    sizes = scores.lesions.groupby("stratum", sort=False)["lesions"].first()
    names = [size_name(stratum) for stratum in sizes.index]
    head = ["trainer", *(f"{name}: {count:,}" for name, count in zip(names, sizes, strict=True))]
    rows = []
    for model in scores.repeats:
        of_model = scores.lesions[scores.lesions["model"] == model]
        cells = []
        for stratum in sizes.index:
            found = of_model[of_model["stratum"] == stratum]
            own, matched = (number(found[name].mean(), 2) for name in ("detection_rate", "matched_detection_rate"))
            cells.append(f"{own} / {matched}")
        rows.append([f"`{model}`", *cells])
    return (
        "Share of the lesions that is detected, by the lesion's own size (and how many there are): at the tuned "
        f"threshold / at the {number(scores.matched_rate)} false positives a case of `{scores.baseline}`.\n\n"
        + markdown(head, rows)
    )
