"""The one definition of "a connected component", for sampling, losses, post-processing and evaluation alike."""

import cc3d
import numpy as np


def default_connectivity(ndim: int) -> int:
    """18 in 3D (thesis, section 4.5), its counterpart 8 in 2D."""
    return {2: 8, 3: 18}[ndim]


def label_components(mask: np.ndarray, connectivity: int | None = None) -> tuple[np.ndarray, int]:
    """Labels the connected components of a mask.

    Args:
        mask: 2D or 3D; everything that is not 0 is foreground.
        connectivity: 6, 18 or 26 in 3D, 4 or 8 in 2D; `default_connectivity` when None.

    Returns:
        The labels, 0 (background) and 1 to n in the mask's shape, and n.
    """
    mask = np.asarray(mask) != 0
    # As numbers: cc3d 4.1.1's shortcuts for binary images label background in 2D (8 neighbours, odd widths) and refuse
    # columns of single voxels in 3D (26).
    return cc3d.connected_components(
        mask.view(np.uint8), connectivity=connectivity or default_connectivity(mask.ndim), return_N=True
    )


def component_voxels(labels: np.ndarray, n: int) -> np.ndarray:
    """Voxels of the components 1 to n, shape (n,)."""
    return np.bincount(labels.ravel(), minlength=n + 1)[1:]


def remove_small_components(mask: np.ndarray, min_voxels: float, connectivity: int | None = None) -> np.ndarray:
    """A boolean mask without the components of fewer than `min_voxels` voxels (thesis, section 4.5: 5)."""
    labels, n = label_components(mask, connectivity)
    keep = np.concatenate([[False], component_voxels(labels, n) >= min_voxels])
    return keep[labels]
