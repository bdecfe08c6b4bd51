"""The CSV tables that tell groups, sites and the order of the cases."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from nnunetv2_sizepenalty.errors import UserError


def read_table(path: str | Path, cases: Sequence[str]) -> pd.DataFrame:
    """Reads a CSV with one row for each case in a column `case`: in the file's order, indexed by case, text throughout.

    Raises:
        UserError: no such column, a case twice, an unknown case, or a case left out.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as a CSV: {error}") from None
    if "case" not in table.columns:
        raise UserError(f"{path}: needs a column case")
    names = table["case"].str.strip()
    if names.duplicated().any():
        raise UserError(f"{path}: case {names[names.duplicated()].iloc[0]} is in two rows, so it could be in two parts")
    unknown = [name for name in names if name not in set(cases)]
    if unknown:
        raise UserError(f"{path}: case {unknown[0]} is not in the data set ({len(unknown)} of {len(names)} are not)")
    left_out = [case for case in cases if case not in set(names)]
    if left_out:
        raise UserError(f"{path}: case {left_out[0]} of the data set is missing ({len(left_out)} are)")
    return table.set_index(names)


def read_column(table: pd.DataFrame, column: str) -> dict[str, str]:
    """Reads each case's value, stripped.

    Raises:
        UserError: a case has none, which would make one group or site of all such cases.
    """
    values = table[column].str.strip()
    if (values == "").any():
        raise UserError(f"case {values.index[values == ''][0]}: column {column} of the CSV is empty")
    return values.to_dict()
