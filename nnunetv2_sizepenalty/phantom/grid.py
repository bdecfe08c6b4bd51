"""The voxel grid: where its voxels lie in millimetres, its thin slices, its geometry in a NIfTI header."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nnunetv2_sizepenalty.lesions.sizes import MM3_PER_ML, voxel_volume_mm3
from nnunetv2_sizepenalty.phantom.parameters import (
    DEFAULT_FIELD_OF_VIEW_MM,
    DEFAULT_SHAPE,
    SMALLEST_FIELD_OF_VIEW_MM,
    SMALLEST_SHAPE,
)

# The middle of the template's brain, (x, y, z) in MNI mm.
CENTRE_MM = (0.0, -18.0, 12.0)
# Where the field of view is too low for the brain, it's the medulla that is cut.
_HEADROOM_MM = 4.0


@dataclass(frozen=True)
class SamplingGrid:
    """A grid of voxels in RAS millimetres: a scan's, or a box cut out of one.

    Attributes:
        shape: voxels along z, y, x.
        spacing_mm: along z, y, x.
        first_mm: z, y, x of voxel (0, 0, 0). z runs up, y to the front and x to the left, as in ISLES 2022.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    first_mm: tuple[float, float, float]

    @classmethod
    def centred(cls, shape: Sequence[int] | None = None, spacing_mm: Sequence[float] | None = None) -> "SamplingGrid":
        """A scan's grid about `CENTRE_MM`; without a spacing, ISLES's field of view (146 x 224 x 224 mm) is kept.

        Raises:
            ValueError: not three numbers, too few voxels, or a field of view that the brain doesn't fit into.
        """
        shape = tuple(DEFAULT_SHAPE if shape is None else shape)
        if len(shape) != 3 or any(n != int(n) for n in shape):
            raise ValueError(f"shape {_text(shape)} is not three whole numbers: give z y x, such as 73 112 112")
        shape = tuple(int(n) for n in shape)
        if any(n < least for n, least in zip(shape, SMALLEST_SHAPE, strict=True)):
            raise ValueError(f"shape {_text(shape)} is too small for a brain: at least {_text(SMALLEST_SHAPE)} (z y x)")
        if spacing_mm is None:
            spacing_mm = [extent / n for extent, n in zip(DEFAULT_FIELD_OF_VIEW_MM, shape, strict=True)]
        spacing_mm = tuple(float(s) for s in spacing_mm)
        if len(spacing_mm) != 3 or not all(np.isfinite(s) and s > 0 for s in spacing_mm):
            raise ValueError(
                f"spacing {_text(spacing_mm)} is not three positive numbers of mm: give z y x, such as 2 2 2"
            )
        extent = [n * s for n, s in zip(shape, spacing_mm, strict=True)]
        if any(e < least for e, least in zip(extent, SMALLEST_FIELD_OF_VIEW_MM, strict=True)):
            raise ValueError(
                f"shape {_text(shape)} at spacing {_text(spacing_mm)} spans {_text(extent)} mm (z y x), too small for "
                f"a brain: at least {_text(SMALLEST_FIELD_OF_VIEW_MM)} mm, so more voxels or a larger spacing"
            )
        x, y, z = CENTRE_MM
        half = [(n - 1) * s / 2 for n, s in zip(shape, spacing_mm, strict=True)]
        return cls(shape, spacing_mm, (z - half[0], y - half[1], x + half[2]))

    def placed_over(self, low_mm: np.ndarray, high_mm: np.ndarray, shift_mm: np.ndarray) -> "SamplingGrid":
        """The grid moved over a brain between these z, y, x, off its middle by `shift_mm`, with the vertex inside."""
        half = np.multiply(self.shape, self.spacing_mm) / 2
        middle = (low_mm + high_mm) / 2 + shift_mm
        middle[0] = max(middle[0], high_mm[0] + _HEADROOM_MM - half[0])
        first = middle + np.array([-1, -1, 1]) * (half - np.divide(self.spacing_mm, 2))
        return SamplingGrid(self.shape, self.spacing_mm, tuple(float(f) for f in first))

    def box_around(self, low_mm: np.ndarray, high_mm: np.ndarray, margin_mm: float) -> tuple[slice, slice, slice]:
        """Slices of the voxels between these z, y, x and a margin about them."""
        slices = []
        for axis, low, high in zip(self.axes_mm, low_mm, high_mm, strict=True):
            inside = np.flatnonzero((axis >= low - margin_mm) & (axis <= high + margin_mm))
            slices.append(slice(int(inside[0]), int(inside[-1]) + 1))
        return tuple(slices)

    @property
    def axes_mm(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Coordinates of the voxels along z, y, x."""
        steps = (self.spacing_mm[0], self.spacing_mm[1], -self.spacing_mm[2])
        return tuple(f + s * np.arange(n) for f, s, n in zip(self.first_mm, steps, self.shape, strict=True))

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel."""
        return voxel_volume_mm3(self.spacing_mm) / MM3_PER_ML

    @property
    def affine(self) -> np.ndarray:
        """4 x 4, voxel (i, j, k) along x, y, z to RAS mm, as nibabel takes it."""
        z, y, x = self.first_mm
        dz, dy, dx = self.spacing_mm
        return np.array([[-dx, 0, 0, x], [0, dy, 0, y], [0, 0, dz, z], [0, 0, 0, 1]], float)

    def box(self, slices: tuple[slice, slice, slice]) -> "SamplingGrid":
        """The grid of `array[slices]`."""
        axes = [axis[s] for axis, s in zip(self.axes_mm, slices, strict=True)]
        return SamplingGrid(tuple(len(a) for a in axes), self.spacing_mm, tuple(float(a[0]) for a in axes))

    def thin(self, thin_mm: float) -> tuple["SamplingGrid", tuple[int, int, int]]:
        """A grid with each voxel divided along its thick axes, and into how many parts.

        An axis is thick when it is longer than `thin_mm` and than the finest axis.
        """
        finest = min(self.spacing_mm)
        parts = tuple(max(1, round(s / max(thin_mm, finest))) for s in self.spacing_mm)
        spacing = tuple(s / p for s, p in zip(self.spacing_mm, parts, strict=True))
        signs = (1, 1, -1)
        first = tuple(
            f - sign * (s - t) / 2 for f, sign, s, t in zip(self.first_mm, signs, self.spacing_mm, spacing, strict=True)
        )
        return SamplingGrid(tuple(n * p for n, p in zip(self.shape, parts, strict=True)), spacing, first), parts


def average(values: np.ndarray, parts: tuple[int, int, int]) -> np.ndarray:
    """Means over blocks of `parts` voxels: what a thick slice sees of thin ones."""
    if parts == (1, 1, 1):
        return values
    z, y, x = (n // p for n, p in zip(values.shape, parts, strict=True))
    return values.reshape(z, parts[0], y, parts[1], x, parts[2]).mean((1, 3, 5), dtype=np.float32)


def _text(numbers: Sequence[float]) -> str:
    return " ".join(f"{n:g}" for n in numbers)
