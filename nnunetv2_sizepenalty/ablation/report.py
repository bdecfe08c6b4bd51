"""report.html and runs.csv: every run, with those that are missing, and where the rest is."""

import os
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from nnunetv2_sizepenalty.ablation.results import compare, runs_table
from nnunetv2_sizepenalty.ablation.state import DONE, FAILED, Ablation, State, log_tail
from nnunetv2_sizepenalty.ablation.table import summary
from nnunetv2_sizepenalty.atomic import atomic_file
from nnunetv2_sizepenalty.pages.offline import render

TEMPLATES = Path(__file__).parent / "templates"
COLUMNS = {
    "threshold": "threshold",
    "dice": "Dice",
    "at_half_dice": "Dice at 0.5",
    "average_precision": "average precision",
    "lesion_average_precision": "lesion-wise average precision",
    "false_positives": "false positives per case",
}


def write_results(ablation: Ablation, states: Mapping[str, State]) -> Path:
    """Compares what can be compared and writes report.html and runs.csv into the ablation's folder.

    Returns:
        The path of report.html.
    """
    table = runs_table(ablation, states)
    pages, lines = compare(ablation, states)
    with atomic_file(ablation.out / "runs.csv") as path:
        table.to_csv(path, index=False)
    unfinished = [
        {"run": run.key, "state": states[run.key], "log": _relative(run.log, ablation.out), "tail": log_tail(run)}
        for run in ablation.runs
        if states[run.key].kind != DONE
    ]
    page = render(
        "ablation.html.j2",
        TEMPLATES,
        functions={"vega": lambda: Markup("")},
        title="Ablation",
        data={},
        summary=summary(states),
        columns=list(COLUMNS.values()),
        rows=_rows(table),
        several_labels=table.get("label", pd.Series(dtype=object)).nunique() > 1,
        unfinished=unfinished,
        failed=FAILED,
        pages=[(what, _relative(path, ablation.out)) for what, path in pages],
        lines=lines,
    )
    report = ablation.out / "report.html"
    with atomic_file(report) as path:
        path.write_text(page, encoding="utf-8")
    return report


def _relative(path: Path, folder: Path) -> str:
    return os.path.relpath(path, folder)


def _rows(table: pd.DataFrame) -> list[dict]:
    """Makes the page's rows; a run that isn't done has its state in place of scores."""
    rows = []
    for row in table.to_dict("records"):
        done = row["state"] == DONE
        rows.append(
            {
                "model": row["model"],
                "label": row.get("label"),
                "fold": row["fold"],
                "repeat": "" if pd.isna(row["repeat"]) else f"{row['repeat']:g}",
                "state": row["state"],
                "cells": [_cell(row[name]) for name in COLUMNS] if done else None,
                "detail": row["detail"],
                "report": f"runs/{row['run']}/evaluation/report.html" if done else None,
            }
        )
    return rows


def _cell(value: float | None) -> str:
    return "-" if value is None or pd.isna(value) else f"{value:.3g}"
