"""Which lesion a voxel belongs to: the nearest one (Voronoi cells)."""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import distance_transform_edt

from nnunetv2_sizepenalty.lesions.components import label_components


def lesion_cells(mask: np.ndarray, spacing_mm: Sequence[float] | None = None) -> np.ndarray:
    """Numbers every voxel by its nearest lesion.

    Args:
        mask: 2D or 3D; everything that is not 0 is foreground.
        spacing_mm: of the voxels, by which distances count (slices may be thick); in voxels when None.

    Returns:
        int32 in the mask's shape: 1 to n as `label_components` numbers the lesions, 0 everywhere where there is none.
        Of two lesions at one distance scipy chooses.
    """
    labels, n = label_components(mask)
    if n < 2:
        return np.full(labels.shape, n, dtype=np.int32)
    nearest = distance_transform_edt(labels == 0, sampling=spacing_mm, return_distances=False, return_indices=True)
    return labels.astype(np.int32).ravel()[np.ravel_multi_index(tuple(nearest), labels.shape)]
