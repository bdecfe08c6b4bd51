"""The lesions of one mask: connected components or ids, those too small removed, with their voxels and centres."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from nnunetv2_sizepenalty.evaluation.lesion_ids import has_ids
from nnunetv2_sizepenalty.evaluation.protocols import Protocol
from nnunetv2_sizepenalty.lesions import component_voxels, label_components, voxel_volume_mm3


@dataclass(frozen=True)
class Instances:
    """Lesions 1 to n of a mask, as the list of their voxels: lesions fill little of an image.

    labels: 0 and the lesions. index: flat indices of the lesions' voxels, increasing; lesion: the lesion of each.
    voxels: the lesions' sizes, shape (n,).
    reach: labels of what a predicted lesion has to touch: `labels` itself, or the lesions dilated.
    ids: of each lesion in its file, shape (n,); None where lesions are components.
    """

    labels: np.ndarray
    index: np.ndarray
    lesion: np.ndarray
    voxels: np.ndarray
    reach: np.ndarray
    ids: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.voxels)

    def centroids(self) -> np.ndarray:
        """Mean voxel index of each lesion, shape (n, axes)."""
        axes = np.unravel_index(self.index, self.labels.shape)
        sums = [np.bincount(self.lesion, weights=axis, minlength=len(self) + 1)[1:] for axis in axes]
        return np.stack(sums, axis=1) / self.voxels[:, None]


def find_instances(
    mask: np.ndarray, spacing_mm: Sequence[float], protocol: Protocol, *, is_reference: bool
) -> Instances:
    """The lesions of a mask under `protocol`: everything that is not 0 is lesion, in the order of their ids where
    `protocol.instances` says that the mask holds such."""
    index = np.flatnonzero(mask)
    reach = ids = None
    if protocol.dilation and (is_reference or protocol.dilate_prediction):
        structure = ndimage.generate_binary_structure(mask.ndim, 2)
        dilated = ndimage.binary_dilation(mask, structure, iterations=protocol.dilation)
        reach, n = label_components(dilated, protocol.connectivity)
        labels = np.where(mask, reach, 0)
    elif has_ids(protocol.instances, is_reference=is_reference):
        ids, number = np.unique(mask.ravel()[index], return_inverse=True)
        labels, n = np.zeros(mask.shape, dtype=np.uint32), len(ids)
        labels.ravel()[index] = number + 1
    else:
        labels, n = label_components(mask, protocol.connectivity)
    lesion = labels.ravel()[index]
    voxels = component_voxels(lesion, n)
    if protocol.filter_reference or not is_reference:
        keep = (voxels >= protocol.min_voxels) & (voxels * voxel_volume_mm3(spacing_mm) >= protocol.min_mm3)
        if not keep.all():
            number = np.concatenate([[0], np.where(keep, np.cumsum(keep), 0)]).astype(labels.dtype)
            labels.ravel()[index] = lesion = number[lesion]
            index, lesion, voxels = index[lesion > 0], lesion[lesion > 0], voxels[keep]
            ids = None if ids is None else ids[keep]
    return Instances(labels, index, lesion, voxels, reach if is_reference and reach is not None else labels, ids)
