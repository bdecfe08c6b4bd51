"""The candidates of a search: thresholds, and the smallest component that stays."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nnunetv2_sizepenalty.lesions import voxel_volume_mm3
from nnunetv2_sizepenalty.nnunet_io.thresholds import DEFAULT_THRESHOLD

# The thesis's set and filter (section 4.5).
THESIS_THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
THESIS_MIN_VOXELS = 5
# nnU-Net filters nothing by itself
NO_FILTER = 0.0
UNITS = ("voxels", "mm3")


@dataclass(frozen=True)
class Candidates:
    """What may be chosen, and what is counted besides.

    With several thresholds or sizes, nnU-Net's own (0.5, no filter) is among them; a single one is not searched.

    Attributes:
        thresholds: increasing, each between 0 and 1.
        sizes: increasing; a component below the size is removed; 0 removes none.
        unit: of the sizes, "voxels" or "mm3".
        connectivity: of the components.
    """

    thresholds: tuple[float, ...] = THESIS_THRESHOLDS
    sizes: tuple[float, ...] = (float(THESIS_MIN_VOXELS),)
    unit: str = "voxels"
    connectivity: int = 18

    def __post_init__(self):
        if not self.thresholds or not all(0 < t < 1 for t in self.thresholds):
            raise ValueError(f"thresholds lie between 0 and 1, got {list(self.thresholds)}")
        if not self.sizes or not all(0 <= s < math.inf for s in self.sizes):
            raise ValueError(f"the smallest component is 0 (no filter) or more, got {list(self.sizes)}")
        if self.unit not in UNITS:
            raise ValueError(f"sizes are in {' or '.join(UNITS)}, got {self.unit!r}")
        object.__setattr__(self, "thresholds", _searched(self.thresholds, DEFAULT_THRESHOLD))
        object.__setattr__(self, "sizes", _searched(self.sizes, NO_FILTER))

    @property
    def counted_thresholds(self) -> tuple[float, ...]:
        """`thresholds` and 0.5."""
        return tuple(sorted({*self.thresholds, DEFAULT_THRESHOLD}))

    @property
    def counted_sizes(self) -> tuple[float, ...]:
        """`sizes` and 0."""
        return tuple(sorted({*self.sizes, NO_FILTER}))

    @property
    def searched(self) -> np.ndarray:
        """Which of the counted may be chosen, boolean, shape (counted thresholds, counted sizes)."""
        return np.outer(np.isin(self.counted_thresholds, self.thresholds), np.isin(self.counted_sizes, self.sizes))

    def sizes_in_voxels(self, spacing_mm: Sequence[float]) -> np.ndarray:
        """The counted sizes in voxels of that spacing, not rounded."""
        sizes = np.asarray(self.counted_sizes)
        return sizes if self.unit == "voxels" else sizes / voxel_volume_mm3(spacing_mm)


def _searched(values: Sequence[float], default: float) -> tuple[float, ...]:
    values = {float(value) for value in values}
    return tuple(sorted({*values, default} if len(values) > 1 else values))
