"""The tables of an evaluation as the page's rows: one label, each row with a key, rounded, NaN as None."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from nnunetv2_sizepenalty.evaluation.kinds import FALSE_POSITIVE, REFERENCE
from nnunetv2_sizepenalty.evaluation.records import Evaluation
from nnunetv2_sizepenalty.evaluation.strata import NONE
from nnunetv2_sizepenalty.lesions import SizeBins
from nnunetv2_sizepenalty.pages.axes import jitter
from nnunetv2_sizepenalty.pages.numbers import size_name

DIGITS = 5


def case_rows(evaluation: Evaluation, label: str) -> pd.DataFrame:
    """The label's rows of cases.csv, with `key`, `stratum` (its exclusive size bin) and `jitter`."""
    rows = evaluation.cases[evaluation.cases["label"] == label].reset_index(drop=True)
    bins = evaluation.summary.bins
    names = [bins.names[i] for i in bins.index(rows[bins.unit.column("reference")])]
    stratum = [size_name(NONE if n == 0 else name) for n, name in zip(rows["n_reference"], names, strict=True)]
    return rows.assign(key=rows["case"], stratum=stratum, jitter=jitter(len(rows)))


def lesion_rows(evaluation: Evaluation, label: str) -> pd.DataFrame:
    """The label's rows of lesions.csv, with `key`, `fate` (found, missed, false positive, unmatched) and `jitter`."""
    rows = evaluation.lesions[evaluation.lesions["label"] == label].reset_index(drop=True)
    fates = [
        ("found" if detected else "missed")
        if kind == REFERENCE
        else ("false positive" if kind == FALSE_POSITIVE else kind)
        for kind, detected in zip(rows["kind"], rows["detected"], strict=True)
    ]
    key = rows["case"] + "/" + rows["kind"] + "/" + rows["lesion"].astype(str)
    return rows.assign(key=key, fate=fates, jitter=jitter(len(rows)))


def strata_names(bins: SizeBins, cases: pd.DataFrame) -> list[str]:
    """The exclusive strata in order of size, lesion-free cases first where there are any."""
    free = [NONE] if (cases["n_reference"] == 0).any() else []
    return [size_name(name) for name in (*free, *bins.names)]


def _plain(value: Any) -> Any:
    """A number, string or bool as JSON has it: 5 significant digits, None for what is undefined."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value


def records(frame: pd.DataFrame, columns: Sequence[str]) -> list[dict[str, Any]]:
    """The frame's rows as dictionaries that `json.dumps(allow_nan=False)` takes."""
    return [
        dict(zip(columns, map(_plain, row), strict=True))
        for row in frame[list(columns)].astype(object).itertuples(index=False, name=None)
    ]
