"""Where each lesion of a case lies in its file: a voxel of it to point at, and how wide it is."""

from dataclasses import dataclass

import numpy as np

from nnunetv2_sizepenalty.evaluation.instances import Instances


@dataclass(frozen=True)
class Places:
    """Of lesions 1 to n in their order: `voxel` (n, 3) as index (x, y, z) of the file, `extent` (n, 3) in voxels."""

    voxel: np.ndarray
    extent: np.ndarray


def find_places(instances: Instances) -> Places:
    """The voxel of each lesion that is nearest to its centroid, which may itself lie outside, and its bounding box.

    One pass over all lesions' voxels, whatever their number. Distances are counted in voxels.
    """
    n = len(instances)
    voxels = np.stack(np.unravel_index(instances.index, instances.labels.shape), axis=1)
    centroids = instances.centroids() if n else np.zeros((0, voxels.shape[1]))
    distance = ((voxels - centroids[instances.lesion - 1]) ** 2).sum(axis=1)
    order = np.lexsort((distance, instances.lesion))
    first = np.searchsorted(instances.lesion[order], np.arange(1, n + 1))
    nearest = voxels[order[first]]
    by_lesion = voxels[order]
    if n:
        extent = np.maximum.reduceat(by_lesion, first) - np.minimum.reduceat(by_lesion, first) + 1
    else:
        extent = np.zeros((0, voxels.shape[1]), dtype=int)
    missing = 3 - voxels.shape[1]  # one slice has no z axis
    nearest = np.pad(nearest, ((0, 0), (missing, 0)))
    extent = np.pad(extent, ((0, 0), (missing, 0)), constant_values=1)
    return Places(nearest[:, ::-1].astype(int), extent[:, ::-1].astype(int))
