"""What every threshold would have given: FROC by size, and several models at one rate of false positives."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.atomic import atomic_file
from nnunetv2_sizepenalty.curves.calibration import Calibration, Reliability, VolumeRatio
from nnunetv2_sizepenalty.curves.froc_curve import lowest_threshold
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation.nan_json import Number, read_record, to_json
from nnunetv2_sizepenalty.evaluation.protocols import split_detection
from nnunetv2_sizepenalty.evaluation.records import read_table
from nnunetv2_sizepenalty.evaluation.sized import SizedRecord, size_field
from nnunetv2_sizepenalty.evaluation.strata import ALL
from nnunetv2_sizepenalty.lesions import SizeBins

KEYS = ("case", "label", "threshold")
TABLES = {"curves": "froc.csv", "points": "operating_points.csv", "voxels": "probabilities.csv"}
SUMMARY = "froc.json"


@dataclass(frozen=True)
class MeanOverCases:
    """A mean over those cases where it is defined."""

    mean: Number
    cases: int


@dataclass(frozen=True)
class AveragePrecision(MeanOverCases):
    """Voxel-wise average precision: of each case, and `pooled` of all cases' voxels in one."""

    pooled: Number


@dataclass(frozen=True)
class LabelFroc:
    """What no threshold enters, of one label; `curves.calibration` holds the definitions."""

    lesion_average_precision: Number
    voxel_average_precision: AveragePrecision
    pr_auc: MeanOverCases
    expected_calibration_error: Number
    neighbourhood_mm: float
    reliability: Reliability
    volume_ratios: tuple[VolumeRatio, ...]

    @classmethod
    def of(cls, lesion_average_precision: float, pr_auc: MeanOverCases, calibration: Calibration) -> "LabelFroc":
        """Puts the calibration of a label beside its other numbers."""
        c = calibration
        return cls(
            lesion_average_precision=lesion_average_precision,
            voxel_average_precision=AveragePrecision(
                c.average_precision, c.n_average_precision, c.pooled_average_precision
            ),
            pr_auc=pr_auc,
            expected_calibration_error=c.expected_calibration_error,
            neighbourhood_mm=c.neighbourhood_mm,
            reliability=c.reliability,
            volume_ratios=c.volume_ratios,
        )


@dataclass(frozen=True)
class FrocSummary(SizedRecord):
    """The content of froc.json; the fields are those of `summary.Summary`."""

    version: str
    reference_folder: str
    probabilities_folder: str
    protocol: str
    description: str
    edges: tuple[float, ...] = size_field("bins")
    cases: int
    labels: dict[str, LabelFroc]

    @property
    def bins(self) -> SizeBins:
        """The size bins of the strata."""
        return SizeBins(self.edges, self.unit)


@dataclass(frozen=True)
class Froc:
    """One model's probabilities on a set of cases.

    curves: `froc_curve.CURVE_COLUMNS`, a row per label, stratum and threshold (increasing).
    points: `KEYS` and the columns of cases.csv that need no surface, a row per case, label and threshold.
    voxels: case, label, average_precision, pr_auc, reference_ml, soft_ml, hard_ml (_px), soft_to_hard.
    summary: froc.json.
    """

    curves: pd.DataFrame
    points: pd.DataFrame
    voxels: pd.DataFrame
    summary: FrocSummary


def write_froc(froc: Froc, folder: str | Path) -> None:
    """Writes froc.csv, operating_points.csv, probabilities.csv and froc.json, each whole or not at all."""
    folder = Path(folder)
    for field, name in TABLES.items():
        with atomic_file(folder / name) as path:
            getattr(froc, field).to_csv(path, index=False)
    with atomic_file(folder / SUMMARY) as path:
        path.write_text(to_json(froc.summary), encoding="utf-8")


def read_froc(folder: str | Path) -> Froc:
    """Reads what `write_froc` wrote; UserError where `folder` is not the output of `froc`."""
    folder = Path(folder)
    try:
        tables = {field: read_table(folder / name) for field, name in TABLES.items()}
        content = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        return Froc(**tables, summary=read_record(FrocSummary, content))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder}: not an output of `nnUNetv2_sizepenalty froc` ({error}); name such a folder"
        ) from error


def threshold_at(froc: Froc, label: str, rate: float) -> float:
    """Finds the `froc_curve.lowest_threshold` of one label's lesions of all sizes."""
    return lowest_threshold(froc.curves[(froc.curves["label"] == label) & (froc.curves["stratum"] == ALL)], rate)


def cases_at(points: pd.DataFrame, label: str, threshold: float) -> pd.DataFrame:
    """Picks the rows of `Froc.points` at one of its thresholds: a cases.csv without the surface metrics."""
    chosen = (points["label"] == label) & np.isclose(points["threshold"], threshold, rtol=1e-9, atol=0)
    return points[chosen].drop(columns="threshold").reset_index(drop=True)


def headlines(froc: Froc) -> list[str]:
    """Returns the rule of detection and a line on each label, for the terminal and for logs."""
    rule = split_detection(froc.summary.description)[1]
    return [f"a lesion is found by {rule}"] + [
        f"{name}: lesion-wise average precision {label.lesion_average_precision:.3f}, "
        f"expected calibration error near lesions {label.expected_calibration_error:.3f}"
        for name, label in froc.summary.labels.items()
    ]
