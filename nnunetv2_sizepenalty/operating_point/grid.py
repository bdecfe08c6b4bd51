"""The grid of a search: thresholds, and the smallest component that stays."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from nnunetv2_sizepenalty.lesions import voxel_volume_mm3
from nnunetv2_sizepenalty.nnunet_io.thresholds import DEFAULT_THRESHOLD, dense_thresholds

# The thesis's set and filter (section 4.5).
THESIS_THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
THESIS_MIN_VOXELS = 5
# nnU-Net filters nothing by itself
NO_FILTER = 0.0
UNITS = ("voxels", "mm3")


@dataclass(frozen=True)
class Cut:
    """A class is where its probability is above `threshold`, in components of at least `min_size` (0: all)."""

    threshold: float = DEFAULT_THRESHOLD
    min_size: float = NO_FILTER


@dataclass(frozen=True)
class ThresholdGrid:
    """What may be chosen, and what is counted besides.

    With several thresholds or sizes, nnU-Net's own (0.5, no filter) is among them; a single one is not searched.

    Attributes:
        thresholds: increasing, each between 0 and 1.
        sizes: increasing; a component below the size is removed; 0 removes none.
        unit: of the sizes, "voxels" or "mm3".
        connectivity: of the components.
        follows_data: `thresholds` are to be found in the predicted values (`LogitLadder`); 0.5 alone until they are.
    """

    thresholds: tuple[float, ...] = THESIS_THRESHOLDS
    sizes: tuple[float, ...] = (float(THESIS_MIN_VOXELS),)
    unit: str = "voxels"
    connectivity: int = 18
    follows_data: bool = False

    def __post_init__(self):
        if not self.thresholds or not all(0 < t < 1 for t in self.thresholds):
            raise ValueError(f"thresholds lie between 0 and 1, got {list(self.thresholds)}")
        if not self.sizes or not all(0 <= s < math.inf for s in self.sizes):
            raise ValueError(f"the smallest component is 0 (no filter) or more, got {list(self.sizes)}")
        if self.unit not in UNITS:
            raise ValueError(f"sizes are in {' or '.join(UNITS)}, got {self.unit!r}")
        object.__setattr__(self, "thresholds", _with_default(self.thresholds, DEFAULT_THRESHOLD))
        object.__setattr__(self, "sizes", _with_default(self.sizes, NO_FILTER))

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

    @property
    def baselines(self) -> dict[str, Cut]:
        """What a choice is compared with: 0.5 with the filter that is set (none where one is searched), nnU-Net's."""
        size = self.sizes[0] if len(self.sizes) == 1 else NO_FILTER
        return {"at_half": Cut(DEFAULT_THRESHOLD, size), "nnunet": Cut(DEFAULT_THRESHOLD, NO_FILTER)}

    def with_thresholds(self, thresholds: Iterable[float]) -> "ThresholdGrid":
        """Returns this grid with other thresholds, and 0.5."""
        return replace(self, thresholds=tuple({*thresholds, DEFAULT_THRESHOLD}))

    def cut(self, row: int, column: int) -> Cut:
        """Returns the counted cut at a position of the arrays (counted thresholds, counted sizes)."""
        return Cut(self.counted_thresholds[row], self.counted_sizes[column])

    def position(self, cut: Cut) -> tuple[int, int]:
        """Returns where a counted cut stands in the arrays; ValueError for a cut that isn't counted."""
        return self.counted_thresholds.index(cut.threshold), self.counted_sizes.index(cut.min_size)

    def edges(self, cut: Cut) -> tuple[str, ...]:
        """Names the ends of the search that a cut lies at, so that the best may lie beyond; empty inside."""
        found = {
            "lowest threshold": len(self.thresholds) > 1 and cut.threshold == self.thresholds[0],
            "highest threshold": len(self.thresholds) > 1 and cut.threshold == self.thresholds[-1],
            "largest size": len(self.sizes) > 1 and cut.min_size == self.sizes[-1],
        }
        return tuple(name for name, is_there in found.items() if is_there)

    def sizes_in_voxels(self, spacing_mm: Sequence[float]) -> np.ndarray:
        """Returns the counted sizes in voxels of that spacing, not rounded."""
        sizes = np.asarray(self.counted_sizes)
        return sizes if self.unit == "voxels" else sizes / voxel_volume_mm3(spacing_mm)


def make_grid(
    thresholds: Iterable[float] | Literal["dense", "data"] = "data",
    *,
    min_voxels: Iterable[float] | None = None,
    min_mm3: Iterable[float] | None = None,
) -> ThresholdGrid:
    """Makes the grid that the options of `threshold` and the keys of a matrix ask for.

    Args:
        thresholds: "data" to find them in the predicted values, "dense" for 1e-5 to 1 - 1e-5, even in the logit.
        min_voxels, min_mm3: smallest components, in one of the units; the thesis's when both are None.

    Raises:
        ValueError: a threshold or a size is impossible.
    """
    chosen: dict = {}
    if thresholds == "data":
        chosen |= {"thresholds": (DEFAULT_THRESHOLD,), "follows_data": True}
    else:
        chosen["thresholds"] = dense_thresholds() if thresholds == "dense" else tuple(thresholds)
    if min_voxels is not None:
        chosen["sizes"] = tuple(min_voxels)
    elif min_mm3 is not None:
        chosen |= {"sizes": tuple(min_mm3), "unit": "mm3"}
    return ThresholdGrid(**chosen)


def _with_default(values: Sequence[float], default: float) -> tuple[float, ...]:
    """Increasing; with the default where there is something to search."""
    values = {float(value) for value in values}
    return tuple(sorted({*values, default} if len(values) > 1 else values))
