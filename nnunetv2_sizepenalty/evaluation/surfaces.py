"""Surface voxels of masks and the distances between two surfaces, in mm."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from nnunetv2_sizepenalty.evaluation.instances import Instances


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


def extract_surface(instances: Instances, spacing_mm: Sequence[float], *, of_each: bool = False) -> Surface:
    """The voxels with background across one of their faces: `mask ^ scipy.ndimage.binary_erosion(mask)` as a list.

    Components never share a face, so this is every lesion's own surface too. Lesions of ids may: `of_each` takes the
    voxels with another lesion across a face as well. The array's outermost layer must be background (it is not looked
    beyond).
    """
    labels = instances.labels.ravel()
    inner = np.ones(len(instances.index), dtype=bool)
    for stride in np.cumprod([1, *instances.labels.shape[:0:-1]]):
        for beyond in (labels[instances.index - stride], labels[instances.index + stride]):
            inner &= beyond == instances.lesion if of_each else beyond != 0
    index = instances.index[~inner]
    coordinates = np.stack(np.unravel_index(index, instances.labels.shape), axis=1)
    return Surface(index, coordinates * np.asarray(spacing_mm, dtype=float), instances.lesion[~inner])


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
    pairs: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """`masd` of each pair of a reference and a predicted lesion, shape (pairs,).

    `forward` and `backward` are the distances of the whole surfaces: they hold for a pair wherever the nearest voxel
    belongs to the pair's other lesion, and only the remaining voxels are looked up anew.

    Args:
        pairs: the lesions' numbers in the reference and in the prediction; a lesion is in one pair at most.
    """
    of_reference, of_prediction = pairs
    there = _mean_to_partner(reference, forward, prediction, of_reference, of_prediction)
    back = _mean_to_partner(prediction, backward, reference, of_prediction, of_reference)
    return (there + back) / 2


def _mean_to_partner(
    source: Surface, whole: Distances, target: Surface, lesions: np.ndarray, partners: np.ndarray
) -> np.ndarray:
    """Mean distance from the surface of each of `lesions` to that of its partner alone, shape of `lesions`."""
    n = int(source.lesion.max()) + 1
    partner = np.zeros(n, dtype=int)
    partner[lesions] = partners
    wanted = partner[source.lesion]
    astray = np.flatnonzero((wanted > 0) & (target.lesion[whole.nearest] != wanted))
    mm = whole.mm
    if len(astray):
        mm = mm.copy()
        lesion = source.lesion[astray]
        for number in np.unique(lesion):
            voxels = astray[lesion == number]
            mm[voxels] = _tree(target.points[target.lesion == partner[number]]).query(source.points[voxels])[0]
    return (
        np.bincount(source.lesion, weights=mm, minlength=n)[lesions] / np.bincount(source.lesion, minlength=n)[lesions]
    )
