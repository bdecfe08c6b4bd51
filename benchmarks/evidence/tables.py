"""The page's tables as Markdown: models, differences from the baseline, lesions by size."""

import re
from collections.abc import Iterable, Sequence

from scores import LabelScores

from nnunetv2_sizepenalty.evaluation.compare.scores import THESIS_METRICS
from nnunetv2_sizepenalty.evaluation.records import METRICS
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
SIZE_COLUMNS = {
    "detection_rate": "detection",
    "lesion_f1": "lesion F1",
    "dice": "Dice of a lesion",
    "false_positives_per_case": "false positives a case",
}
UNCOUNTED = "doesn't count"


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


def in_pixels(stratum: str) -> str:
    """A stratum of a 2D image, whose mL are thousands of pixels of 1 mm."""
    text = re.sub(r"\d*\.?\d+(?:e-?\d+)?", lambda found: f"{1000 * float(found[0]):g}", stratum)
    return text.replace("mL", "pixels")


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
    """Every model against the baseline, metric by metric; no verdict where the baseline doesn't beat the floor."""
    if not scores.differences:
        return "No second model is whole, so nothing is compared."
    rows = []
    for model in list(scores.repeats)[1:]:
        for title, table in scores.differences.items():
            found = table[table["model"] == model]
            if found.empty:
                rows.append([f"`{model}`", title, DASH, DASH, DASH, "out of reach"])
                continue
            row = found.iloc[0]
            rows.append(
                [
                    f"`{model}`",
                    title,
                    f"{number(row['difference'])} ({interval(row['low'], row['high'])})",
                    number(row["p_holm"], 2),
                    number(row["noise_floor"]),
                    row["verdict"] if counts else UNCOUNTED,
                ]
            )
    head = ["trainer", "against the baseline", "difference (95 % interval)", "p (Holm)", "noise floor", "verdict"]
    return (
        f"Against `{scores.baseline}`, paired by case, each case's mean over the repeats; matched at its "
        f"{number(scores.matched_rate)} false positives a case. 95 % of the differences that repeating the training "
        "alone makes are below the noise floor.\n\n" + markdown(head, rows)
    )


def thesis_table(scores: LabelScores, counts: bool) -> str:
    """The thesis's metrics of every model, and in which of them it differs from the baseline."""
    head = ["trainer", *(METRICS[metric].title for metric in THESIS_METRICS), "better in", "worse in"]
    rows = []
    for model, repeats in scores.repeats.items():
        found = scores.thesis[scores.thesis["model"] == model]
        told = [
            ", ".join(METRICS[metric].title for metric in found.loc[found["verdict"] == verdict, "metric"]) or DASH
            for verdict in ("better", "worse")
        ]
        means = [number(repeats[metric].mean()) for metric in THESIS_METRICS]
        rows.append([f"`{model}`", *means, *(told if counts and len(found) else [DASH, DASH])])
    return (
        "The thesis's metrics at the tuned threshold, means over the cases that have a value and the repeats; better "
        f"and worse than `{scores.baseline}` by the rules of the table above, corrected over all of these.\n\n"
        + markdown(head, rows)
    )


def size_table(scores: LabelScores, pixels: bool) -> str:
    """Lesions of each size of all test cases."""
    head = ["size", "lesions", "trainer", *SIZE_COLUMNS.values(), "detection at matched false positives"]
    rows = []
    for (stratum, model), found in scores.lesions.groupby(["stratum", "model"], sort=False):
        name = size_name(in_pixels(stratum) if pixels else stratum)
        cells = [over_repeats(found[column]) for column in (*SIZE_COLUMNS, "matched_detection_rate")]
        rows.append([name, f"{found['lesions'].iloc[0]:,}", f"`{model}`", *cells])
    order = {stratum: i for i, stratum in enumerate(dict.fromkeys(row[0] for row in rows))}
    rows.sort(key=lambda row: order[row[0]])
    return f"By the lesion's own size, at the tuned threshold:\n\n{markdown(head, rows)}"
