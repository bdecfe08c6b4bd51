"""Sizes in voxels, mm^3, mL and pixels, and the bins that lesions and cases are sorted into."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

MM3_PER_ML = 1000.0


@dataclass(frozen=True)
class SizeUnit:
    """What sizes are given in: `ML`, or `PX` where images have no spacing and so no volume.

    Attributes:
        name: in words and names of strata.
        key: in names of columns and files, as in `reference_ml`.
        quantity: what is measured, "volume" or "area".
        length: unit of distances, "mm" or "px".
        decimals: that people are shown.
        edges: of the usual strata; those in mL are the thesis's (tables 5.4, 5.5).
    """

    name: str
    key: str
    quantity: str
    length: str
    decimals: int
    edges: tuple[float, ...]

    def __str__(self) -> str:
        return self.name

    def shown(self, size: float) -> str:
        """A size as people read it, such as "0.05 mL" or "15 px"."""
        return f"{size:.{self.decimals}f} {self.name}"

    def column(self, of: str) -> str:
        """The column that holds a size: "reference" -> "reference_ml"."""
        return f"{of}_{self.key}"

    def columns(self, in_ml: Iterable[str]) -> tuple[str, ...]:
        """Names of columns as they are where sizes are in mL and distances in mm, and what they are in this unit."""
        ends = {"ml": self.key, "mm": self.length}
        parted = (name.rpartition("_") for name in in_ml)
        return tuple(of + bar + ends.get(end, end) for of, bar, end in parted)


ML = SizeUnit("mL", "ml", "volume", "mm", 2, (1.0, 5.0))
PX = SizeUnit("px", "px", "area", "px", 0, (10.0, 100.0, 1000.0))


class Spacing(tuple[float, ...]):
    """Distances between voxels in mm, in the order of an array's axes, that know what a voxel measures.

    A tuple, so that it serves wherever plain numbers do; those stand for voxels that aren't sheared, sizes in mL.
    Distances in mm are computed from these numbers even where the axes are sheared, volumes never.

    Attributes:
        voxel: volume of one voxel in mm^3 (area in mm^2 for two axes, both in pixels where there is no spacing).
        unit: of sizes.
    """

    voxel: float
    unit: SizeUnit

    def __new__(cls, steps: Iterable[float], *, matrix: np.ndarray | None = None, unit: SizeUnit = ML) -> "Spacing":
        """Makes one of the steps and, where a header tells it, the index-to-physical matrix.

        Args:
            steps: one an axis.
            matrix: (3, 3) or (2, 2) from index (x, y, z), which are the axes backwards, to mm.
            unit: `PX` where the steps are no mm.
        """
        spacing = super().__new__(cls, map(float, steps))
        spacing.voxel = float(np.prod(np.asarray(spacing)))
        spacing.unit = unit
        if matrix is not None:
            columns = np.asarray(matrix, dtype=float)[:, : len(spacing)]
            # |det|, also of two axes in space; headers hold float32, so a product that agrees as far is as good.
            volume = math.sqrt(max(0.0, np.linalg.det(columns.T @ columns)))
            if not math.isclose(volume, spacing.voxel, rel_tol=1e-4):
                spacing.voxel = volume
        return spacing

    def __reduce__(self):
        return _restored, (tuple(self), self.voxel, self.unit)


def _restored(steps: tuple[float, ...], voxel: float, unit: SizeUnit) -> Spacing:
    spacing = Spacing(steps, unit=unit)
    spacing.voxel = voxel
    return spacing


def size_unit(spacing_mm: Sequence[float]) -> SizeUnit:
    """What sizes are given in on this grid."""
    return spacing_mm.unit if isinstance(spacing_mm, Spacing) else ML


def voxel_volume_mm3(spacing_mm: Sequence[float]) -> float:
    """Volume of one voxel in mm^3 (area of one pixel in mm^2 for two axes, 1 for a pixel without a spacing)."""
    return (spacing_mm if isinstance(spacing_mm, Spacing) else Spacing(spacing_mm)).voxel


def size_of(voxels: float, spacing_mm: Sequence[float]) -> float:
    """That many voxels (a number or an array) in `size_unit(spacing_mm)`."""
    return voxels * voxel_volume_mm3(spacing_mm) if size_unit(spacing_mm) == PX else voxels_to_ml(voxels, spacing_mm)


def voxels_to_ml(voxels: float, spacing_mm: Sequence[float]) -> float:
    """mL of that many voxels (a number or an array)."""
    return voxels * voxel_volume_mm3(spacing_mm) / MM3_PER_ML


def voxels_from_ml(ml: float, spacing_mm: Sequence[float]) -> float:
    """Voxels that make up `ml` millilitres, not rounded."""
    return ml * MM3_PER_ML / voxel_volume_mm3(spacing_mm)


@dataclass(frozen=True)
class SizeBins:
    """Half-open bins [0, e_1), ..., [e_n, inf) of size, in mL or pixels; the thesis's edges are 1 and 5 mL."""

    edges: tuple[float, ...] = ML.edges
    unit: SizeUnit = ML

    def __post_init__(self):
        if not self.edges or any(e <= 0 for e in self.edges) or list(self.edges) != sorted(set(self.edges)):
            raise ValueError(f"bin edges must be positive and increasing, got {self.edges}")

    @property
    def names(self) -> tuple[str, ...]:
        """One name a bin, such as "< 1 mL", "1-5 mL", ">= 5 mL"."""
        edges = [f"{e:g}" for e in self.edges]
        between = [f"{a}-{b} {self.unit}" for a, b in itertools.pairwise(edges)]
        return (f"< {edges[0]} {self.unit}", *between, f">= {edges[-1]} {self.unit}")

    def index(self, size: float) -> np.ndarray:
        """Bin of each size (a number or an array), as an index into `names`."""
        return np.digitize(size, self.edges)
