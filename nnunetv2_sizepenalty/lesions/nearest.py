"""The nearest of some of the lesions, exactly: of two at one distance the larger one, then the lower number."""

from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree

# Squared distances that differ by less than this share of the volume's squared diagonal are equal: far above the
# rounding of a coordinate (2e-16), far below the difference of two distances on a voxel grid.
_TIE = 1e-14


class NearestLesion:
    """Finds the nearest of a set of lesions.

    A lesion's place in the order (largest first) is a further coordinate, too short to matter but for ties.

    Args:
        labels: 0 and the lesions 1 to n, 2D or 3D.
        spacing_mm: of the voxels, one per axis.
    """

    def __init__(self, labels: np.ndarray, spacing_mm: Sequence[float]):
        self._spacing = np.asarray(spacing_mm, dtype=np.float64)
        surface = labels * ~_interior(labels)
        where = np.argwhere(surface)
        self._lesion = surface[tuple(where.T)].astype(np.int64)
        voxels = np.bincount(labels.ravel())[1:]
        place = np.empty(len(voxels) + 1)
        place[1 + np.argsort(-voxels, kind="stable")] = np.arange(len(voxels))
        diagonal = np.sum((np.asarray(labels.shape) * self._spacing) ** 2)
        self._points = np.column_stack([where * self._spacing, np.sqrt(_TIE * diagonal * place[self._lesion])])

    def among(self, lesions: np.ndarray, where: np.ndarray) -> np.ndarray:
        """The nearest of `lesions` (numbers, shape (m,)) to each voxel index of `where`, shape (voxels, axes)."""
        chosen = np.flatnonzero(np.isin(self._lesion, lesions))
        query = np.column_stack([where * self._spacing, np.zeros(len(where))])
        _, nearest = cKDTree(self._points[chosen], leafsize=32, balanced_tree=False).query(query)
        return self._lesion[chosen][nearest]


def _interior(labels: np.ndarray) -> np.ndarray:
    """Voxels whose neighbours along the axes are of the same lesion: never the nearest to a voxel outside of it."""
    inside = np.zeros(labels.shape, dtype=bool)
    middle = (slice(1, -1),) * labels.ndim
    inside[middle] = labels[middle] != 0
    for axis in range(labels.ndim):
        for side in (slice(None, -2), slice(2, None)):
            neighbour = (*middle[:axis], side, *middle[axis + 1 :])
            inside[middle] &= labels[neighbour] == labels[middle]
    return inside
