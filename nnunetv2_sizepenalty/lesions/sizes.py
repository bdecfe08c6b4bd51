"""Sizes in voxels, mm^3 and mL, and the bins that lesions and cases are sorted into."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MM3_PER_ML = 1000.0


def voxel_volume_mm3(spacing_mm: Sequence[float]) -> float:
    """Volume of one voxel in mm^3 (area of one pixel in mm^2 for two axes)."""
    return float(np.prod(np.asarray(spacing_mm, dtype=float)))


def voxels_to_ml(voxels: float, spacing_mm: Sequence[float]) -> float:
    """mL of that many voxels (a number or an array)."""
    return voxels * voxel_volume_mm3(spacing_mm) / MM3_PER_ML


def voxels_from_ml(ml: float, spacing_mm: Sequence[float]) -> float:
    """Voxels that make up `ml` millilitres, not rounded."""
    return ml * MM3_PER_ML / voxel_volume_mm3(spacing_mm)


@dataclass(frozen=True)
class SizeBins:
    """Half-open bins [0, e_1), ..., [e_n, inf) of volume in mL; the thesis's edges are 1 and 5 (tables 5.4, 5.5).

    Where there is no volume, as in 2D images, the edges are in another `unit`.
    """

    edges_ml: tuple[float, ...] = (1.0, 5.0)
    unit: str = "mL"

    def __post_init__(self):
        if not self.edges_ml or any(e <= 0 for e in self.edges_ml) or list(self.edges_ml) != sorted(set(self.edges_ml)):
            raise ValueError(f"bin edges must be positive and increasing, got {self.edges_ml}")

    @property
    def names(self) -> tuple[str, ...]:
        """One name a bin, such as "< 1 mL", "1-5 mL", ">= 5 mL"."""
        edges = [f"{e:g}" for e in self.edges_ml]
        between = [f"{a}-{b} {self.unit}" for a, b in itertools.pairwise(edges)]
        return (f"< {edges[0]} {self.unit}", *between, f">= {edges[-1]} {self.unit}")

    def index(self, volume_ml: float) -> np.ndarray:
        """Bin of each volume (a number or an array), as an index into `names`."""
        return np.digitize(volume_ml, self.edges_ml)
