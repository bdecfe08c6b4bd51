"""The lesions of one mask: connected components, those too small removed, with their sizes and centres."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from nnunetv2_sizepenalty.evaluation.protocols import Protocol
from nnunetv2_sizepenalty.lesions import component_voxels, label_components, voxel_volume_mm3


@dataclass(frozen=True)
class Instances:
    """labels: 0 and the lesions 1 to n; voxels: their sizes, shape (n,).

    reach: the labels with what a predicted lesion has to touch (the lesions themselves, or their dilation).
    """

    labels: np.ndarray
    voxels: np.ndarray
    reach: np.ndarray

    def __len__(self) -> int:
        return len(self.voxels)

    def centroids(self) -> np.ndarray:
        """Mean voxel index of each lesion, shape (n, axes)."""
        index = np.flatnonzero(self.labels)
        lesion = self.labels.ravel()[index]
        axes = np.unravel_index(index, self.labels.shape)
        sums = [np.bincount(lesion, weights=axis, minlength=len(self) + 1)[1:] for axis in axes]
        return np.stack(sums, axis=1) / self.voxels[:, None]


def find_instances(
    mask: np.ndarray, spacing_mm: Sequence[float], protocol: Protocol, *, is_reference: bool
) -> Instances:
    """The lesions of a boolean mask under `protocol`."""
    labels, n = label_components(mask, protocol.connectivity)
    voxels = component_voxels(labels, n)
    if protocol.filter_reference or not is_reference:
        keep = (voxels >= protocol.min_voxels) & (voxels * voxel_volume_mm3(spacing_mm) >= protocol.min_mm3)
        if not keep.all():
            number = np.concatenate([[0], np.where(keep, np.cumsum(keep), 0)]).astype(labels.dtype)
            labels, voxels = number[labels], voxels[keep]
    if not (is_reference and protocol.dilation):
        return Instances(labels, voxels, labels)
    structure = ndimage.generate_binary_structure(mask.ndim, 2)
    dilated = ndimage.binary_dilation(labels != 0, structure, iterations=protocol.dilation)
    reach, n = label_components(dilated, protocol.connectivity)
    labels = np.where(labels != 0, reach, 0)
    return Instances(labels, component_voxels(labels, n), reach)
