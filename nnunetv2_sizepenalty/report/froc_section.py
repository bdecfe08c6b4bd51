"""What the page shows of the output of `froc`, for one label."""

from typing import Any

from nnunetv2_sizepenalty.curves.froc import Froc
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation.strata import ALL
from nnunetv2_sizepenalty.evaluation.summary import Summary
from nnunetv2_sizepenalty.pages.export import spec
from nnunetv2_sizepenalty.pages.numbers import number, size_name
from nnunetv2_sizepenalty.pages.table import Cell, Table
from nnunetv2_sizepenalty.report.charts.froc import froc_chart, reliability_chart


def check_froc(froc: Froc, summary: Summary) -> None:
    """UserError where the probabilities were not scored on the labels of the masks."""
    absent = [name for name in summary.labels if name not in froc.summary.labels]
    if absent:
        raise UserError(
            f"froc: was run on {', '.join(froc.summary.labels)}, not on {', '.join(absent)}; "
            "give `froc` and `evaluate` the same dataset.json"
        )


def froc_charts(froc: Froc, label: str) -> dict[str, dict[str, Any]]:
    """Specs by name."""
    curves = froc.curves[froc.curves["label"] == label]
    charts = {}
    if (curves["lesions"] > 0).any():
        charts["froc"] = spec(froc_chart(curves, (ALL, *froc.summary.bins.names)))
    reliability = froc.summary.labels[label].reliability
    if reliability.voxels:
        charts["reliability"] = spec(reliability_chart(reliability))
    return charts


def froc_sentence(froc: Froc, label: str) -> str:
    """The numbers that no threshold enters."""
    entry = froc.summary.labels[label]
    voxels = entry.voxel_average_precision
    return (
        f"Lesion-wise average precision {number(entry.lesion_average_precision)}. Voxel-wise average precision "
        f"{number(voxels.mean)}, the mean over {voxels.cases} cases ({number(voxels.pooled)} with all voxels "
        f"pooled). Expected calibration error {number(entry.expected_calibration_error)} within "
        f"{number(entry.neighbourhood_mm, 2)} {froc.summary.unit.length} of the lesions."
    )


def volume_ratio_table(froc: Froc, label: str) -> Table:
    """Soft volume (sum of the probabilities) against hard volume (above 0.5) and reference, by the case's size."""
    unit = froc.summary.unit
    keys = ("soft", "hard", "reference", "soft_to_hard", "soft_to_reference")
    rows = tuple(
        (Cell(size_name(row.size)), Cell(f"{row.cases:,}"), *(Cell(number(getattr(row, key))) for key in keys))
        for row in froc.summary.labels[label].volume_ratios
    )
    sizes = (f"{name} ({unit})" for name in ("soft", "hard", "reference"))
    columns = ("size of case", "cases", *sizes, "soft / hard", "soft / reference")
    caption = f"Sum of the probabilities (soft) and {unit.quantity} above 0.5 (hard), all cases of a size together."
    return Table(f"Soft and hard {unit.quantity}", caption, tuple(map(Cell, columns)), rows)
