"""Lesion masks on the SOOP cohort's grid, for tests of the phantom."""

from pathlib import Path

import nibabel as nib
import numpy as np

from nnunetv2_sizepenalty.phantom.lesion_masks import ARCHIVE_AFFINE

SHAPE_XYZ = (157, 189, 136)


def block(low, high):
    """A mask (x, y, z), 1 in a block of voxels."""
    mask = np.zeros(SHAPE_XYZ, np.uint8)
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = 1
    return mask


def save(path: Path, array: np.ndarray, affine: np.ndarray = ARCHIVE_AFFINE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), path)
