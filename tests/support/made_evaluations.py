"""Evaluations made of numbers instead of masks, for tests of what is computed from them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.comparison.models import Model
from nnunetv2_sizepenalty.evaluation import Evaluation
from nnunetv2_sizepenalty.evaluation.records import CASE_COLUMNS
from nnunetv2_sizepenalty.evaluation.runs import mean_over_repeats, repeats_of


def make_evaluation(cases: Sequence[str], summary: dict[str, Any] | None = None, **columns: Any) -> Evaluation:
    """One label "lesion", one lesion of 2 mL a case that is found; `columns` are of cases.csv, numbers or one per case.

    A case whose `missed` is not 0 misses its lesion.
    """
    table = pd.DataFrame(0.0, index=range(len(cases)), columns=CASE_COLUMNS[2:])
    table.insert(0, "label", "lesion")
    table.insert(0, "case", list(cases))
    for name, values in {"reference_ml": 2.0, **columns}.items():
        table[name] = np.asarray(values, dtype=float) if np.ndim(values) else float(values)
    table["n_reference"] = (table["reference_ml"] > 0).astype(float)
    lesions = pd.DataFrame(
        {
            "case": table["case"],
            "label": "lesion",
            "kind": "reference",
            "volume_ml": table["reference_ml"],
            "detected": table["missed"] == 0,
        }
    )
    whole = {
        "settings": {"min_voxels": 0, "connectivity": float("nan")},
        "description": "default",
        "bins_ml": [1.0, 5.0],
        "labels": {"lesion": {"values": [1]}},
    }
    return Evaluation(table, lesions[lesions["volume_ml"] > 0].reset_index(drop=True), whole | (summary or {}))


def make_model(name: str, *runs: Evaluation) -> Model:
    """A model of these runs, as `read_models` makes it of files."""
    repeats = tuple(repeats_of([run.cases for run in runs]))
    return Model(name, runs, repeats, mean_over_repeats(repeats))
