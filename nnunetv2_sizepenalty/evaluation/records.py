"""What an evaluation leaves behind, on disk: cases.csv, lesions.csv and summary.json."""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from nnunetv2_sizepenalty.atomic import atomic_file
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation.nan_json import read_record, to_json
from nnunetv2_sizepenalty.evaluation.summary import Summary


@dataclass(frozen=True)
class Evaluation:
    """The two tables (columns CASE_COLUMNS and LESION_COLUMNS, a protocol may append columns) and the summary.

    Where the images have no spacing, `_px` stands for `_ml` in the names of columns and keys.
    """

    cases: pd.DataFrame
    lesions: pd.DataFrame
    summary: Summary


def write_evaluation(evaluation: Evaluation, folder: str | Path) -> None:
    """Writes cases.csv, lesions.csv and summary.json into `folder`, each whole or not at all."""
    folder = Path(folder)
    for name, table in (("cases.csv", evaluation.cases), ("lesions.csv", evaluation.lesions)):
        with atomic_file(folder / name) as path:
            table.to_csv(path, index=False)
    with atomic_file(folder / "summary.json") as path:
        path.write_text(to_json(evaluation.summary), encoding="utf-8")


TEXT_COLUMNS = ("case", "label", "kind", "stratum")


def read_table(path: Path) -> pd.DataFrame:
    """Reads a CSV that was written here: an empty cell is NaN, and a case or label called "NA" or "none" stays text."""
    numbers = [column for column in pd.read_csv(path, nrows=0).columns if column not in TEXT_COLUMNS]
    return pd.read_csv(
        path,
        dtype=dict.fromkeys(TEXT_COLUMNS, str),
        keep_default_na=False,
        na_values={column: [""] for column in numbers},
    )


def read_evaluation(folder: str | Path) -> Evaluation:
    """Reads what `write_evaluation` wrote.

    Raises:
        UserError: `folder` is not the output of `evaluate`.
    """
    folder = Path(folder)
    try:
        tables = read_table(folder / "cases.csv"), read_table(folder / "lesions.csv")
        content = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        summary = read_record(Summary, content)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder}: not an output of `nnUNetv2_sizepenalty evaluate` ({error!r}); name such a folder"
        ) from error
    return Evaluation(*tables, summary)
