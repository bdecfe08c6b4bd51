"""The columns of cases.csv and lesions.csv, and what each metric means."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from nnunetv2_sizepenalty.lesions import ML, PX, SizeUnit


@dataclass(frozen=True)
class Metric:
    """A column of cases.csv. `better` is +1 where higher is better, -1 where lower is, 0 where neither."""

    name: str
    title: str
    definition: str
    better: int = 0
    unit: str = ""

    @property
    def heading(self) -> str:
        """The title with its unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


@cache
def metrics_in(unit: SizeUnit) -> dict[str, Metric]:
    """The columns of cases.csv after `case` and `label`, in order, where sizes are given in `unit`."""
    size, sized, length = unit.quantity, unit.column, unit.length
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
        Metric("assd", "ASSD", "mean distance of the voxels of both surfaces to the other surface", -1, length),
        Metric("masd", "MASD", "mean of the two directed mean surface distances", -1, length),
        Metric("hd95", "HD95", "larger of the two directed 95th percentiles of the surface distance", -1, length),
        Metric("nsd", "NSD", "share of both surfaces within the tolerance of the other", +1),
        Metric("lesion_masd", "lesion MASD", "masd of each matched pair, mean over the pairs", -1, length),
    )
    return {row.name: row for row in rows}


# By column, whatever the unit of sizes; `metrics_in` tells that of distances.
METRICS: dict[str, Metric] = metrics_in(PX) | metrics_in(ML)
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


CASE_COLUMNS: tuple[str, ...] = case_columns(ML)

# Appended where masks hold lesion ids: the row's id in its file, empty for a component.
LESION_ID = "lesion_id"

# `lesion` numbers the lesion in its own mask, from 1; ids go in their order.
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
    "lesion_masd",  # of the matched pair in mm (pixels without a spacing), NaN without one
    "z",  # centroid as a voxel index (z, y, x), first axis of the array first; 2D has z = 0
    "y",
    "x",
    "x_mm",  # centroid in world coordinates, RAS+ (NIfTI's, NiiVue's, Slicer's), mm (_px: pixels)
    "y_mm",
    "z_mm",
)
