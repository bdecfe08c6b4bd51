"""Which lesion a voxel belongs to: the nearest one (Voronoi cells), also where downsampling has dropped some."""

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


def share_lost_cells(cells: np.ndarray, mask: np.ndarray, spacing_mm: Sequence[float] | None = None) -> np.ndarray:
    """Gives the cells of lesions that have no voxel left to the nearest of those that have, voxel by voxel.

    Downsampling drops lesions of a few voxels and keeps their cells.

    Args:
        cells: numbers of lesions, as `lesion_cells` gives them, downsampled; 2D or 3D.
        mask: what is left of the lesions, bool, each voxel in its own cell.
        spacing_mm: of the voxels, as above.

    Returns:
        Cells of the same type, 0 everywhere where no lesion is left; `cells` itself where none was lost.
    """
    if not mask.any():
        return np.zeros_like(cells)
    kept = np.zeros(cells.max() + 1, dtype=bool)
    kept[cells[mask]] = True
    lost = ~kept[cells]
    if not lost.any():
        return cells
    nearest = distance_transform_edt(~mask, sampling=spacing_mm, return_distances=False, return_indices=True)
    shared = cells.copy()
    shared[lost] = cells[tuple(nearest[:, lost])]
    return shared
