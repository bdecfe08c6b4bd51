"""What every threshold would have given: FROC by size, and several models at one rate of false positives."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.atomic import atomic_file
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation import formulas
from nnunetv2_sizepenalty.evaluation.records import from_json, read_table, to_json

KEYS = ("case", "label", "threshold")
CURVE_COLUMNS = (
    "label",
    "stratum",  # lesions of this size; "all", "< 1 mL", ... as in records.LesionStratum
    "threshold",  # lesion where the probability is above it
    "lesions",
    "detected",
    "sensitivity",  # detected / lesions, NaN without lesions
    "false_positives_per_case",  # of all sizes
    "false_positives_of_size_per_case",
    "precision",  # share of the predicted lesions of all sizes that are no false positives, NaN without any
)
TABLES = {"curves": "froc.csv", "points": "operating_points.csv", "voxels": "probabilities.csv"}
SUMMARY = "froc.json"


@dataclass(frozen=True)
class Froc:
    """One model's probabilities on a set of cases.

    curves: `CURVE_COLUMNS`, a row per label, stratum and threshold (increasing).
    points: `KEYS` and the columns of cases.csv that need no surface, a row per case, label and threshold.
    voxels: case, label, average_precision, pr_auc, reference_ml, soft_ml, hard_ml, soft_to_hard.
    summary: version, folders, description, bins_ml, cases, and per label lesion_average_precision,
        voxel_average_precision (mean, cases, pooled), pr_auc (mean, cases), expected_calibration_error,
        neighbourhood_mm, reliability (probability, observed, voxels) and volume_ratios (rows per size).
    """

    curves: pd.DataFrame
    points: pd.DataFrame
    voxels: pd.DataFrame
    summary: dict[str, Any]


def write_froc(froc: Froc, folder: str | Path) -> None:
    """Writes froc.csv, operating_points.csv, probabilities.csv and froc.json, each whole or not at all."""
    folder = Path(folder)
    for field, name in TABLES.items():
        with atomic_file(folder / name) as path:
            getattr(froc, field).to_csv(path, index=False)
    with atomic_file(folder / SUMMARY) as path:
        path.write_text(to_json(froc.summary), encoding="utf-8")


def read_froc(folder: str | Path) -> Froc:
    """What `write_froc` wrote; UserError where `folder` is not the output of `froc`."""
    folder = Path(folder)
    try:
        tables = {field: read_table(folder / name) for field, name in TABLES.items()}
        return Froc(**tables, summary=from_json((folder / SUMMARY).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder}: not an output of `nnUNetv2_sizepenalty froc` ({error}); name such a folder"
        ) from error


def lesion_average_precision(curve: pd.DataFrame) -> float:
    """Area under precision against sensitivity over the thresholds: sum of (R_i - R_(i-1)) P_i, from the highest down.

    Args:
        curve: the rows of one label and the stratum "all". NaN without lesions.
    """
    curve = curve.sort_values("threshold", ascending=False)
    if not curve["lesions"].iloc[0]:
        return math.nan
    # With a smallest size a lower threshold can merge a detection away: recall is what has been reached so far.
    recall = np.maximum.accumulate(curve["sensitivity"].to_numpy())
    gained = np.diff(recall, prepend=0.0)
    return float(np.sum(gained * curve["precision"].fillna(0.0).to_numpy()))


def threshold_at(froc: Froc, label: str, false_positives_per_case: float) -> float:
    """The lowest threshold from which on there are at most that many false positives per case; NaN where there is none.

    The number of false positives need not fall with the threshold (components split), hence "from which on".
    """
    curve = froc.curves[(froc.curves["label"] == label) & (froc.curves["stratum"] == "all")].sort_values("threshold")
    allowed = (curve["false_positives_per_case"] <= false_positives_per_case).to_numpy()
    lasting = np.logical_and.accumulate(allowed[::-1])[::-1]
    return float(curve["threshold"].to_numpy()[lasting].min()) if lasting.any() else math.nan


def cases_at(froc: Froc, label: str, threshold: float) -> pd.DataFrame:
    """The rows of `points` at one of its thresholds: a cases.csv without the surface metrics."""
    points = froc.points
    chosen = (points["label"] == label) & np.isclose(points["threshold"], threshold, rtol=1e-9, atol=0)
    return points[chosen].drop(columns="threshold").reset_index(drop=True)


def at_matched_false_positives(
    frocs: dict[str, Froc], label: str, false_positives_per_case: float
) -> dict[str, tuple[float, pd.DataFrame]]:
    """For each model the threshold of `threshold_at` and the scores of its cases there.

    A model that never gets that low has a NaN threshold and an empty table.
    """
    thresholds = {name: threshold_at(froc, label, false_positives_per_case) for name, froc in frocs.items()}
    return {name: (thresholds[name], cases_at(froc, label, thresholds[name])) for name, froc in frocs.items()}


def make_curves(
    label: str,
    thresholds: Sequence[float],
    strata: Sequence[str],
    lesions: np.ndarray,
    detected: np.ndarray,
    false_positives: np.ndarray,
    predicted: np.ndarray,
    cases: int,
) -> pd.DataFrame:
    """`Froc.curves` of one label from sums over cases.

    Args:
        lesions: reference lesions of each stratum, shape (strata,).
        detected, false_positives: of each stratum at each threshold, shape (thresholds, strata).
        predicted: predicted lesions of all sizes, shape (thresholds,).
    """
    frames = []
    everything = false_positives[:, list(strata).index("all")]
    for i, stratum in enumerate(strata):
        frame = {
            "label": label,
            "stratum": stratum,
            "threshold": thresholds,
            "lesions": lesions[i],
            "detected": detected[:, i],
            "sensitivity": formulas.sensitivity(detected[:, i], lesions[i]).value,
            "false_positives_per_case": everything / cases,
            "false_positives_of_size_per_case": false_positives[:, i] / cases,
            "precision": formulas.precision(predicted, everything).value,
        }
        frames.append(pd.DataFrame(frame, columns=CURVE_COLUMNS))
    return pd.concat(frames, ignore_index=True)
