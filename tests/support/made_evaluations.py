"""Evaluations made of numbers instead of masks, for tests of what is computed from them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.comparison.models import Model
from nnunetv2_sizepenalty.curves.froc import FrocSummary
from nnunetv2_sizepenalty.evaluation import Evaluation
from nnunetv2_sizepenalty.evaluation.metrics import CASE_COLUMNS
from nnunetv2_sizepenalty.evaluation.runs import mean_over_repeats, repeats_of
from nnunetv2_sizepenalty.evaluation.summary import LabelSummary, Summary, Tables


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
            "lesion": 1,
            "volume_ml": table["reference_ml"],
            "voxels": 1,
            **dict.fromkeys(("z", "y", "x", "x_mm", "y_mm", "z_mm"), 0.0),
            "detected": table["missed"] == 0,
        }
    )
    return Evaluation(table, lesions[lesions["volume_ml"] > 0].reset_index(drop=True), make_summary(**(summary or {})))


def make_summary(**fields: Any) -> Summary:
    """A summary of the label "lesion", its value 1 and its tables empty; `fields` are others than the default's."""
    default = {
        "version": "0",
        "reference_folder": "reference",
        "prediction_folder": "prediction",
        "protocol": "default",
        "description": "default",
        "settings": {"min_voxels": 0, "connectivity": None},
        "edges": (1.0, 5.0),
        "cases": 0,
        "missing": (),
        "without_reference": (),
        "groups": {},
        "ignore": (),
        "labels": {"lesion": empty_label(1)},
    }
    return Summary(**default | fields)


def empty_label(*values: int) -> LabelSummary:
    """A label of those values, without a stratum."""
    return LabelSummary(values, Tables((), ()), {})


def make_froc_summary(**fields: Any) -> FrocSummary:
    """The summary of probabilities without a label; `fields` are others than the default's."""
    names = ("version", "reference_folder", "probabilities_folder", "protocol", "description")
    return FrocSummary(**dict.fromkeys(names, "default") | {"edges": (1.0, 5.0), "cases": 0, "labels": {}} | fields)


def make_model(name: str, *runs: Evaluation) -> Model:
    """A model of these runs, as `read_models` makes it of files."""
    repeats = tuple(repeats_of([run.cases for run in runs]))
    return Model(name, runs, repeats, mean_over_repeats(repeats))
