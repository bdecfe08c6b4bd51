"""Surface voxels of masks and the distances between two surfaces, in mm."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree


@dataclass(frozen=True)
class Surface:
    """The surface voxels of a mask, in C order of the array.

    index: flat index into the array, shape (n,), increasing. points: coordinates in mm, shape (n, axes).
    lesion: component of each voxel, shape (n,).
    """

    index: np.ndarray
    points: np.ndarray
    lesion: np.ndarray

    def __len__(self) -> int:
        return len(self.index)


@dataclass(frozen=True)
class Distances:
    """From every voxel of one surface to the other surface: mm, and the position of the nearest voxel there."""

    mm: np.ndarray
    nearest: np.ndarray


def surface_mask(mask: np.ndarray) -> np.ndarray:
    """Voxels of a boolean mask with a background voxel, or the array's edge, across one of their faces.

    What `mask ^ scipy.ndimage.binary_erosion(mask)` gives (MONAI, panoptica), some twenty times faster.
    """
    inner = mask.copy()
    for axis in range(mask.ndim):
        view, shifted = np.moveaxis(inner, axis, 0), np.moveaxis(mask, axis, 0)
        view[1:] &= shifted[:-1]
        view[:-1] &= shifted[1:]
        view[0] = view[-1] = False
    return mask & ~inner


def extract_surface(labels: np.ndarray, spacing_mm: Sequence[float]) -> Surface:
    """The surface of `labels != 0`. Components never share a face, so it is every component's own surface too."""
    index = np.flatnonzero(surface_mask(labels != 0))
    coordinates = np.stack(np.unravel_index(index, labels.shape), axis=1)
    return Surface(index, coordinates * np.asarray(spacing_mm, dtype=float), labels.ravel()[index])


def distances(source: Surface, target: Surface) -> Distances:
    """Euclidean distance from each voxel of `source` to its nearest of `target`; neither may be empty."""
    # A voxel that lies on both surfaces is at distance 0 from itself: most voxels of a good prediction.
    position = np.searchsorted(target.index, source.index)
    nearest = np.minimum(position, len(target) - 1)
    mm = np.zeros(len(source))
    elsewhere = np.flatnonzero(target.index[nearest] != source.index)
    if len(elsewhere):
        mm[elsewhere], nearest[elsewhere] = _tree(target.points).query(source.points[elsewhere])
    return Distances(mm, nearest)


def _tree(points: np.ndarray) -> cKDTree:
    # A tree that answers one batch is not worth balancing.
    return cKDTree(points, leafsize=24, balanced_tree=False, compact_nodes=False)


def masd(forward: np.ndarray, backward: np.ndarray) -> float:
    """Mean of the two directed mean distances (what panoptica calls ASSD)."""
    return (float(forward.mean()) + float(backward.mean())) / 2


def assd(forward: np.ndarray, backward: np.ndarray) -> float:
    """Mean over the voxels of both surfaces (MONAI, medpy, MetricsReloaded)."""
    return float(forward.sum() + backward.sum()) / (len(forward) + len(backward))


def hd95(forward: np.ndarray, backward: np.ndarray) -> float:
    """The larger of the two directed 95th percentiles, linearly interpolated (MONAI)."""
    return float(max(np.percentile(forward, 95), np.percentile(backward, 95)))


def nsd(forward: np.ndarray, backward: np.ndarray, tolerance_mm: float) -> float:
    """Share of the voxels of both surfaces within `tolerance_mm` of the other (MONAI's surface Dice on voxels)."""
    within = np.count_nonzero(forward <= tolerance_mm) + np.count_nonzero(backward <= tolerance_mm)
    return within / (len(forward) + len(backward))


def masd_of_pairs(
    reference: Surface,
    prediction: Surface,
    forward: Distances,
    backward: Distances,
    pairs: Sequence[tuple[int, int]],
) -> np.ndarray:
    """`masd` of each pair (reference lesion, predicted lesion), shape (pairs,).

    `forward` and `backward` are the distances of the whole surfaces: they hold for a pair wherever the nearest voxel
    belongs to the pair's other lesion, and only the remaining voxels are looked up anew.
    """
    if not len(pairs):
        return np.empty(0)
    of_reference, of_prediction = _voxels_by_lesion(reference), _voxels_by_lesion(prediction)
    result = []
    for r, p in pairs:
        ours, theirs = of_reference[r], of_prediction[p]
        result.append(
            masd(
                _to_lesion(reference, ours, forward, prediction, theirs, p),
                _to_lesion(prediction, theirs, backward, reference, ours, r),
            )
        )
    return np.array(result)


def _voxels_by_lesion(surface: Surface) -> list[np.ndarray]:
    """Positions of each lesion's voxels on the surface, indexed by the lesion's number (0 is empty)."""
    order = np.argsort(surface.lesion, kind="stable")
    counts = np.bincount(surface.lesion)
    return np.split(order, np.cumsum(counts)[:-1])


def _to_lesion(
    source: Surface, voxels: np.ndarray, whole: Distances, target: Surface, target_voxels: np.ndarray, lesion: int
) -> np.ndarray:
    mm = whole.mm[voxels]
    astray = np.flatnonzero(target.lesion[whole.nearest[voxels]] != lesion)
    if len(astray):
        mm[astray] = _tree(target.points[target_voxels]).query(source.points[voxels[astray]])[0]
    return mm
