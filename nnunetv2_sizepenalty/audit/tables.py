"""The lesions of each class by size, as text for the terminal and the page."""

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.audit.dataset import AuditedDataset
from nnunetv2_sizepenalty.audit.sizes import by_size
from nnunetv2_sizepenalty.losses.size_term import TAU
from nnunetv2_sizepenalty.pages.numbers import DASH, percent, size_name
from nnunetv2_sizepenalty.pages.table import Cell, Table

COUNTS = {"lesions": "lesions", "cases": "cases"}
# Heading and what it means, of the columns that need a plan.
PLANNED = {
    "lost": ("lost", "lesions without a voxel at the plan's spacing, cropped ones included"),
    "kept": ("voxels: kept", "median over the lesions that are not lost, at the plan's spacing"),
    "by_voxel": ("forced: voxel", "share of forced centres when nnU-Net draws a voxel of the class"),
    "by_lesion": ("forced: lesion", "share of forced centres when a lesion is drawn (_lesionuniform)"),
    "patch_weight": ("weight: patch", f"median of exp(-V_g / {TAU:g}), V_g being all lesion in a patch forced onto it"),
    "own_weight": ("weight: lesion", f"median of exp(-V_k / {TAU:g}), V_k being this lesion alone (_perlesion)"),
}


def size_table(audit: AuditedDataset, label: str) -> Table:
    """Makes a row a bin of size; without a plan, counts and voxels alone."""
    rows = by_size(audit, label)
    planned = PLANNED if audit.plan is not None else {}
    columns = [Cell("size"), *map(Cell, COUNTS.values()), Cell("voxels", note="median, in the raw label map")]
    columns += [Cell(heading, note=note) for heading, note in planned.values()]
    caption = "Lesions are connected components of the raw label map."
    if planned:
        caption += " Shares and weights are of nnU-Net's patches, each case drawn equally often."
    cells = [tuple(map(Cell, _texts(row, list(planned)))) for _, row in rows.iterrows()]
    return Table(label, caption, tuple(columns), tuple(cells))


def _texts(row: pd.Series, planned: list[str]) -> list[str]:
    texts = [size_name(row["size"]), *(_whole(row[key]) for key in (*COUNTS, "voxels"))]
    for key in planned:
        form = percent if key.startswith("by_") else _weight if key.endswith("_weight") else _whole
        texts.append(form(row[key]))
    return texts


def _whole(value: float) -> str:
    return DASH if np.isnan(value) else f"{value:,.0f}"


def _weight(value: float) -> str:
    return DASH if np.isnan(value) else f"{value:.2f}"
