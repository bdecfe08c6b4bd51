"""What an evaluation leaves behind: the tables cases.csv and lesions.csv, and summary.json."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import pandas as pd

from nnunetv2_sizepenalty.atomic import atomic_file
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation.kinds import FALSE_POSITIVE as FALSE_POSITIVE
from nnunetv2_sizepenalty.evaluation.kinds import REFERENCE as REFERENCE
from nnunetv2_sizepenalty.lesions import ML, PX, SizeBins, SizeUnit


@dataclass(frozen=True)
class Metric:
    """A column of cases.csv. `better` is +1 where higher is better, -1 where lower is, 0 where neither."""

    name: str
    title: str
    definition: str
    better: int = 0
    unit: str = ""


def metrics_in(unit: SizeUnit) -> dict[str, Metric]:
    """The columns of cases.csv after `case` and `label`, in order, where sizes are given in `unit`."""
    size, sized = unit.quantity, unit.column
    rows = (
        Metric("n_reference", "reference lesions", "connected components of the reference"),
        Metric("n_prediction", "predicted lesions", "connected components of the prediction"),
        Metric(sized("reference"), f"reference {size}", "V_g", unit=unit.name),
        Metric(sized("prediction"), f"predicted {size}", "V_p", unit=unit.name),
        Metric("dice", "Dice", "2 TP / (V_p + V_g)", +1),
        Metric("iou", "IoU", "TP / (V_p + V_g - TP)", +1),
        Metric("rve", "RVE", "abs(V_p - V_g) / V_g; undefined for an empty reference", -1),
        Metric(sized("volume_error"), f"{size} error", "V_p - V_g", unit=unit.name),
        Metric(sized("absolute_volume_error"), f"absolute {size} error", "abs(V_p - V_g)", -1, unit.name),
        Metric("lesion_count_error", "lesion count error", "abs(n_prediction - n_reference)", -1),
        Metric("missed", "missed", "reference lesions that are not detected", -1),
        Metric("false_positives", "false positives", "predicted lesions that detect no reference lesion", -1),
        Metric(sized("false_positive"), f"false-positive {size}", f"{size} of the false positives", -1, unit.name),
        Metric("detection_rate", "detection rate", "share of the reference lesions that are detected", +1),
        Metric("lesion_f1", "lesion F1", "2 detected / (2 detected + missed + false positives)", +1),
        Metric("pq", "PQ", "sum of the matched pairs' IoU / (tp + fp / 2 + fn / 2)", +1),
        Metric("sq", "SQ", "mean IoU of the matched pairs, 0 where lesions exist and none is matched", +1),
        Metric("rq", "RQ", "tp / (tp + fp / 2 + fn / 2)", +1),
        Metric("tp", "TP", "matched pairs, one to one", +1),
        Metric("fp", "FP", "predicted lesions without a match", -1),
        Metric("fn", "FN", "reference lesions without a match", -1),
        Metric("sq_matched", "SQ of matched", "mean IoU of the matched pairs, undefined where none is matched", +1),
        Metric("assd", "ASSD", "mean distance of the voxels of both surfaces to the other surface", -1, "mm"),
        Metric("masd", "MASD", "mean of the two directed mean surface distances", -1, "mm"),
        Metric("hd95", "HD95", "larger of the two directed 95th percentiles of the surface distance", -1, "mm"),
        Metric("nsd", "NSD", "share of both surfaces within the tolerance of the other", +1),
        Metric("lesion_masd", "lesion MASD", "masd of each matched pair, mean over the pairs", -1, "mm"),
    )
    return {row.name: row for row in rows}


# By column, whatever the unit; tables, the report and the docs take titles from here.
METRICS: dict[str, Metric] = metrics_in(ML) | metrics_in(PX)
CASE_KEYS = ("case", "label")


def case_columns(unit: SizeUnit) -> tuple[str, ...]:
    """Columns of cases.csv."""
    return (*CASE_KEYS, *metrics_in(unit))


def lesion_columns(unit: SizeUnit) -> tuple[str, ...]:
    """Columns of lesions.csv."""
    return unit.columns(LESION_COLUMNS)


def unit_of(names: Iterable[str]) -> SizeUnit:
    """What sizes are given in, told by the columns of a table or the keys of a summary's parts."""
    return PX if any(name.endswith(f"_{PX.key}") for name in names) else ML


def summary_bins(summary: Mapping[str, Any]) -> SizeBins:
    """The size strata of a summary.json or froc.json."""
    unit = PX if PX.column("bins") in summary else ML
    return SizeBins(tuple(summary[unit.column("bins")]), unit)


CASE_COLUMNS: tuple[str, ...] = case_columns(ML)

# `lesion` numbers the component in its own mask.
LESION_COLUMNS: tuple[str, ...] = (
    "case",
    "label",
    "kind",  # see `kinds`
    "lesion",
    "volume_ml",  # of the lesion itself
    "voxels",
    "detected",  # reference: detected or missed; predicted: always False
    "matched",  # reference: has a one-to-one match; predicted: always False
    "matched_iou",  # of the matched pair, NaN without one
    "dice",  # of a reference lesion against the predicted lesions that touch it, 0 when missed; NaN for predicted
    "rve",  # the same, 1 when missed; NaN for predicted
    "lesion_masd",  # of the matched pair in mm, NaN without one
    "z",  # centroid as a voxel index (z, y, x), first axis of the array first; 2D has z = 0
    "y",
    "x",
    "x_mm",  # centroid in world coordinates, RAS+ (NIfTI's, NiiVue's, Slicer's), mm
    "y_mm",
    "z_mm",
)


class Estimate(TypedDict):
    """One number with its 95 % interval; `interval` is "BCa", "percentile" or "none" (a single case, or undefined)."""

    value: float
    low: float
    high: float
    interval: str


class Aggregate(TypedDict):
    """One metric over cases. `n` cases have a value; `undefined` do not, `reasons` says why ("empty reference": 3).

    The interval is that of the mean, cases being resampled.
    """

    n: int
    undefined: int
    reasons: dict[str, int]
    mean: float
    median: float
    sd: float
    low: float
    high: float
    interval: str


class CaseStratum(TypedDict):
    """Cases taken together: `name` is "all", "none" (lesion-free), "< 1 mL", "1-5 mL", "< 5 mL" or ">= 5 mL".

    `metrics` holds every column of cases.csv that is a metric. `pooled` holds, each as an Estimate:
    pooled_dice, volume_weighted_dice, lin_ccc (V_p against V_g), lesion_sensitivity, lesion_precision,
    false_positives_per_case, false_positive_ml_per_case, specificity (share of the lesion-free cases whose prediction
    is empty; NaN where none is lesion-free). An empty stratum has cases = 0 and NaN everywhere: draw a dash.
    """

    name: str
    cases: int
    metrics: dict[str, Aggregate]
    pooled: dict[str, Estimate]


class LesionStratum(TypedDict):
    """Lesions of one size, of all cases together. Names as in CaseStratum, without "none".

    Missed, tp and fn count reference lesions of this size, false_positives and fp predicted lesions of this size.
    `estimates` holds detection_rate, dice and rve (mean over the reference lesions), lesion_f1, pq, sq, rq,
    sq_matched, false_positives_per_case.
    """

    name: str
    lesions: int
    missed: int
    false_positives: int
    false_positive_ml: float
    tp: int
    fp: int
    fn: int
    estimates: dict[str, Estimate]


class Tables(TypedDict):
    """Both stratifications; the first entry of each list is "all"."""

    case_strata: list[CaseStratum]
    lesion_strata: list[LesionStratum]


class GroupTables(TypedDict):
    """One column of the --groups CSV: the tables per value, and the mean over the values' means of each metric.

    With a column of folds, `mean_of_means` is the mean of the fold means.
    """

    tables: dict[str, Tables]
    mean_of_means: dict[str, float]


class LabelSummary(TypedDict):
    """One label or region: its values in the masks ([] is "everything above 0"), its tables, and those per group."""

    values: list[int]
    tables: Tables
    groups: dict[str, GroupTables]


class Summary(TypedDict):
    """summary.json. `null` in the file stands for NaN and for nothing else; `read_evaluation` turns it back."""

    version: str
    reference_folder: str
    prediction_folder: str
    protocol: str  # its name
    description: str  # its rules in one line, for captions
    settings: dict[str, Any]  # the Protocol's fields
    bins_ml: list[float]
    cases: int
    missing: list[str]  # cases without a prediction, scored as empty (--allow-missing)
    without_reference: list[str]  # predictions that were passed over
    groups: dict[str, dict[str, str]]  # column -> case -> value
    ignore: list[int]  # the value that takes voxels of the reference out of the evaluation; [] where there is none
    labels: dict[str, LabelSummary]  # in the order of the label column


@dataclass(frozen=True)
class Evaluation:
    """The two tables (columns CASE_COLUMNS and LESION_COLUMNS, a protocol may append columns) and the summary.

    Where the images have no spacing, `_px` stands for `_ml` in the names of columns and keys.
    """

    cases: pd.DataFrame
    lesions: pd.DataFrame
    summary: Summary


def _replace(tree: Any, old: Any, new: Any) -> Any:
    """`tree` with every NaN (old = nan) or None (old = None) leaf replaced."""
    if isinstance(tree, dict):
        return {key: _replace(value, old, new) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_replace(value, old, new) for value in tree]
    is_old = tree is None if old is None else isinstance(tree, float) and math.isnan(tree)
    return new if is_old else tree


def to_json(summary: Any) -> str:
    """The text of summary.json: standard JSON, NaN written as null, no infinity."""
    return json.dumps(_replace(summary, math.nan, None), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def from_json(text: str) -> Any:
    """The inverse of `to_json`."""
    return _replace(json.loads(text), None, math.nan)


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
    """A CSV that was written here: an empty cell is NaN, and a case or label called "NA" or "none" stays text."""
    numbers = [column for column in pd.read_csv(path, nrows=0).columns if column not in TEXT_COLUMNS]
    return pd.read_csv(
        path,
        dtype=dict.fromkeys(TEXT_COLUMNS, str),
        keep_default_na=False,
        na_values={column: [""] for column in numbers},
    )


def read_evaluation(folder: str | Path) -> Evaluation:
    """What `write_evaluation` wrote.

    Raises:
        UserError: `folder` is not the output of `evaluate`.
    """
    folder = Path(folder)
    try:
        tables = read_table(folder / "cases.csv"), read_table(folder / "lesions.csv")
        summary = from_json((folder / "summary.json").read_text(encoding="utf-8"))
        summary["labels"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder}: not an output of `nnUNetv2_sizepenalty evaluate` ({error!r}); name such a folder"
        ) from error
    return Evaluation(*tables, summary)
