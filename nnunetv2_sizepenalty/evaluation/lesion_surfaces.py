"""Surface distances of two lesions by themselves, for the challenges that score lesion by lesion."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from nnunetv2_sizepenalty.lesions.boxes import bounding_box


def directed_distances(
    reference: np.ndarray, prediction: np.ndarray, spacing_mm: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Computes how far each surface voxel of one boolean mask is from the other's surface; neither mask may be empty.

    A surface voxel has background across one of its faces. Distances are those of a distance transform: a share within
    a tolerance that is a multiple of the spacing hangs on their last digit.

    Returns:
        In mm: from the prediction's surface to the reference's, and back.
    """
    box = bounding_box(reference, prediction)
    surfaces = [mask ^ ndimage.binary_erosion(mask) for mask in (np.pad(m[box], 1) for m in (reference, prediction))]
    to_reference, to_prediction = (ndimage.distance_transform_edt(~s, sampling=spacing_mm) for s in surfaces)
    return to_reference[surfaces[1]], to_prediction[surfaces[0]]


def nsd(forward: np.ndarray, backward: np.ndarray, tolerance_mm: float, *, guard: float = 0.0) -> float:
    """Computes the mean of the two surfaces' shares within a tolerance (nnU-Net v1's, medpy's and panoptica's NSD).

    Args:
        guard: is added to the denominator.

    >>> nsd(np.array([0.0, 2.0]), np.array([1.0]), 1.0)
    0.75
    """
    within = [np.count_nonzero(mm <= tolerance_mm) / len(mm) for mm in (forward, backward)]
    beyond = [np.count_nonzero(mm > tolerance_mm) / len(mm) for mm in (forward, backward)]
    return float((within[0] + within[1]) / (within[0] + within[1] + beyond[0] + beyond[1] + guard))


def hd95(forward: np.ndarray, backward: np.ndarray) -> float:
    """Computes the 95th percentile of the distances of both surfaces together, linearly interpolated (panoptica's)."""
    return float(np.percentile(np.concatenate([forward, backward]), 95))
