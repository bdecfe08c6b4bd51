"""The numbers behind a page, run by run with their intervals: written beside it, and what a repetition is held
against."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from nnunetv2_sizepenalty.ablation.runs import Run
from nnunetv2_sizepenalty.atomic import atomic_file
from nnunetv2_sizepenalty.curves import read_froc
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation import read_evaluation
from nnunetv2_sizepenalty.evaluation.statistics import mean_estimate

KEYS = ["trainer", "plans", "repeat", "label", "metric"]
# what is published -> the stage that it is read from and its column there; a mean over the scored cases
METRICS = {
    "dice_at_half": ("evaluation_at_half", "dice"),
    "dice": ("evaluation", "dice"),
    "average_precision": ("froc", "average_precision"),
    "lesion_f1": ("evaluation", "lesion_f1"),
    "detection_rate": ("evaluation", "detection_rate"),
    "missed": ("evaluation", "missed"),
    "false_positives": ("evaluation", "false_positives"),
    "rve": ("evaluation", "rve"),
}


def run_numbers(run: Run) -> pd.DataFrame:
    """Columns `KEYS`, value, low, high: 95 % intervals of the mean, cases being resampled. `run` is done."""
    stages = {
        "evaluation_at_half": read_evaluation(run.folder / "evaluation_at_half").cases,
        "evaluation": read_evaluation(run.folder / "evaluation").cases,
        "froc": read_froc(run.folder / "froc").voxels,
    }
    rows = []
    for label in stages["evaluation"]["label"].unique():
        for metric, (stage, column) in METRICS.items():
            cases = stages[stage]
            estimate = mean_estimate(cases.loc[cases["label"] == label, column])
            interval = [estimate[key] for key in ("value", "low", "high")]
            rows.append([run.trained_as, run.plans, run.seed, label, metric, *interval])
    return pd.DataFrame(rows, columns=[*KEYS, "value", "low", "high"])


def write_numbers(runs: Iterable[Run], path: Path) -> None:
    """Numbers of all these runs."""
    table = pd.concat([run_numbers(run) for run in runs], ignore_index=True)
    with atomic_file(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")


def against_published(runs: Iterable[Run], path: Path) -> pd.DataFrame:
    """The published numbers of these runs with what they are now.

    Returns:
        Columns `KEYS`, value, low, high, now, inside: whether `now` lies in the published interval; undefined is
        where both are undefined.

    Raises:
        UserError: no file, or nothing about a run in it.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; name the folder of the published numbers by --results")
    published = pd.read_csv(path, keep_default_na=False, na_values=[""])
    now = pd.concat([run_numbers(run) for run in runs], ignore_index=True)
    both = now[[*KEYS, "value"]].rename(columns={"value": "now"}).merge(published, on=KEYS, how="left", indicator=True)
    if missing := sorted(set(both.loc[both["_merge"] != "both", "trainer"])):
        raise UserError(f"{path} holds no numbers of {', '.join(missing)} in this repeat")
    undefined = both["now"].isna() & both["value"].isna()
    # the file has six digits, and an interval may have no width
    slack = 1e-5 * both["value"].abs()
    both["inside"] = both["now"].between(both["low"] - slack, both["high"] + slack) | undefined
    return both[[*KEYS, "value", "low", "high", "now", "inside"]]
