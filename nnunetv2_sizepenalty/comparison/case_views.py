"""The cases that the page carries, each under every model, and where their lesions lie in the pictures."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.comparison.case_figure import SideBySide
from nnunetv2_sizepenalty.report.rows import records
from nnunetv2_sizepenalty.report.slices import image_url, overlay_url, shown_slices

# Characters of pictures of a label.
BUDGET = 5_000_000


def view(side: SideBySide) -> dict[str, Any]:
    """A case's slices as pictures, the one with most of the reference shown first."""
    z = shown_slices(side.scan)
    images = None if side.scan.image is None else [image_url(side.scan, at) for at in z]
    x_mm, y_mm = side.scan.spacing_mm[:2] * side.scan.shape[:2]
    return {
        "case": side.case,
        "why": side.why,
        "ratio": round(float(x_mm / y_mm), 4),
        "first": z.index(side.z) if side.z in z else 0,
        "count": len(z),
        "images": images,
        "panels": [
            {"model": name, "caption": caption, "masks": [overlay_url(side.scan, name, at) for at in z]}
            for name, caption in side.captions.items()
        ],
        "lesions": _lesions(side, z),
    }


def _lesions(side: SideBySide, z: Sequence[int]) -> list[dict[str, float]]:
    """Of each reference lesion its picture, and in percent its place from left and top, and its width."""
    nx, ny, _ = side.scan.shape
    width_mm = side.scan.spacing_mm[0] * nx
    return [
        {
            "slice": int(np.abs(np.subtract(z, voxel[2])).argmin()),
            "x": round(100 * (nx - 0.5 - float(voxel[0])) / nx, 2),
            "y": round(100 * (ny - 0.5 - float(voxel[1])) / ny, 2),
            "wide": round(100 * float(wide) / width_mm, 2),
        }
        for voxel, wide in zip(*side.lesions, strict=True)
    ]


def views(sides: Iterable[SideBySide], budget: int) -> dict[str, dict[str, Any]]:
    """Case -> its view: the first, and more until their pictures take `budget` characters."""
    found: dict[str, dict[str, Any]] = {}
    for side in sides:
        one = view(side)
        budget -= sum(map(len, one["images"] or ())) + sum(
            len(url) for panel in one["panels"] for url in panel["masks"]
        )
        if found and budget < 0:
            break
        found[side.case] = one
    return found


def lesion_rows(lesions: pd.DataFrame, size: str) -> list[dict[str, Any]]:
    """Rows of `lesions.who_found` as the page's table has them."""
    key = lesions["case"] + "/" + lesions["lesion"].astype(str)
    voxels = lesions[["x", "y", "z"]].to_numpy(float).round().astype(int)
    place = [", ".join(map(str, voxel)) for voxel in voxels]
    columns = ["key", "case", "lesion", size, "place", "found_by"]
    return records(lesions.assign(key=key, place=place), columns)
