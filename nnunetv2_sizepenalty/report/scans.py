"""A case as the viewer draws it: turned to RAS+, cropped around its lesions, one byte a voxel."""

import base64
import gzip
from collections.abc import Mapping
from dataclasses import dataclass

import nibabel as nib
import numpy as np
from skimage.measure import block_reduce

from nnunetv2_sizepenalty.lesions.boxes import bounding_box, grow_box

MARGIN_MM = 20.0
# A case costs about half a megabyte in the page: 0.6 bytes a voxel after gzip, 4/3 for base64.
MAX_VOXELS = 800_000
# Codes of the mask volumes.
REFERENCE_ALONE, PREDICTION_ALONE, BOTH = 1, 2, 3


@dataclass(frozen=True)
class Scan:
    """One case, arrays (x, y, z) in RAS+ order; a 2D case has one z and keeps the order of its pixels on screen.

    `image` is uint8, None without images, and has a last axis of 3 where it is a colour photograph. `codes` is a
    label's mask (1 reference alone, 2 prediction alone, 3 both). `affine` maps voxels to mm. `index` maps an index
    (x, y, z, 1) of the file to one of these arrays. `shrink` is by how much each axis was made coarser.
    """

    image: np.ndarray | None
    codes: dict[str, np.ndarray]
    affine: np.ndarray
    index: np.ndarray
    shrink: tuple[int, int, int]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along x, y, z."""
        return next(iter(self.codes.values())).shape

    @property
    def spacing_mm(self) -> np.ndarray:
        """Size of a voxel along x, y, z."""
        return nib.affines.voxel_sizes(self.affine)

    def locate(self, z: float, y: float, x: float, label: str, codes: tuple[int, ...]) -> list[int]:
        """The voxel of these arrays nearest to an index of the file that holds one of `codes`.

        A centroid can lie outside its lesion; the cross-hair should not.
        """
        target = (self.index @ (x, y, z, 1))[:3]
        voxels = np.argwhere(np.isin(self.codes[label], codes))
        if not len(voxels):
            return np.clip(np.rint(target), 0, np.array(self.shape) - 1).astype(int).tolist()
        distance = (((voxels - target) * self.spacing_mm) ** 2).sum(axis=1)
        return voxels[distance.argmin()].tolist()


def quantise(image: np.ndarray) -> np.ndarray:
    """uint8 between the 0.5th and the 99.5th percentile."""
    image = np.nan_to_num(np.asarray(image, dtype=np.float32))
    low, high = np.percentile(image, (0.5, 99.5))
    if high <= low:
        low, high = float(image.min()), float(image.max())
    return (np.clip((image - low) / max(high - low, 1e-12), 0, 1) * 255).astype(np.uint8)


def _crop(masks: np.ndarray, spacing_mm: np.ndarray) -> tuple[slice, slice, slice]:
    """Bounding box of a mask (x, y, z) with the margin; everything where it is empty."""
    if not masks.any():
        return tuple(slice(0, n) for n in masks.shape)
    return grow_box(bounding_box(masks), np.ceil(MARGIN_MM / spacing_mm), masks.shape)


def _shrink(shape: tuple[int, ...], spacing_mm: np.ndarray, max_voxels: int) -> tuple[int, int, int]:
    """Factors that bring `shape` to at most `max_voxels`, the finest axes first."""
    factors = np.ones(3, dtype=int)
    while np.prod(np.ceil(np.array(shape) / factors)) > max_voxels:
        step = np.where(np.array(shape) > factors, spacing_mm * factors, np.inf)
        factors[step < step.min() * 1.01] += 1
    return tuple(int(f) for f in factors)


def make_scan(
    reference: Mapping[str, np.ndarray],
    prediction: Mapping[str, np.ndarray],
    image: np.ndarray | None,
    affine: np.ndarray,
    *,
    max_voxels: int = MAX_VOXELS,
) -> Scan:
    """Builds a `Scan`.

    Args:
        reference, prediction: label -> mask (z, y, x); a 2D case has one z.
        image: (z, y, x), or (3, z, y, x) for colours; None for masks alone.
        affine: index (x, y, z, 1) of the files to RAS+ mm.
        max_voxels: a larger crop is made coarser: the image by its mean, masks by their maximum, so that no lesion
            vanishes.
    """
    two_d = next(iter(reference.values())).shape[0] == 1
    # Photographs have no anatomical sides: an affine of LPS leaves their pixels where they are on the screen.
    turn_from = np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.diag([*nib.affines.voxel_sizes(affine), 1.0]) if two_d else affine

    def turned(array: np.ndarray) -> nib.Nifti1Image:
        return nib.as_closest_canonical(nib.Nifti1Image(np.moveaxis(array, (-3, -2, -1), (2, 1, 0)), turn_from))

    union = turned(np.any([*reference.values(), *prediction.values()], axis=0).astype(np.uint8))
    spacing_mm = nib.affines.voxel_sizes(union.affine)
    box = _crop(np.asarray(union.dataobj), spacing_mm)
    size = tuple(s.stop - s.start for s in box)
    shrink = _shrink(size, spacing_mm, max_voxels)

    def cropped(array: np.ndarray, how) -> np.ndarray:
        return block_reduce(np.asarray(turned(array).dataobj)[box], shrink, how)

    codes = {
        label: (
            REFERENCE_ALONE * cropped(reference[label].astype(np.uint8), np.max)
            + PREDICTION_ALONE * cropped(prediction[label].astype(np.uint8), np.max)
        ).astype(np.uint8)
        for label in reference
    }
    to_crop = np.eye(4)
    to_crop[:3, 3] = [s.start for s in box]
    to_coarse = np.diag([*shrink, 1.0])
    to_coarse[:3, 3] = [(f - 1) / 2 for f in shrink]
    crop_affine = union.affine @ to_crop @ to_coarse
    channels = [] if image is None else ([image] if image.ndim == 3 else list(image))
    planes = [cropped(np.asarray(c, dtype=np.float32), np.mean) for c in channels]
    return Scan(
        image=None if not planes else quantise(planes[0] if len(planes) == 1 else np.stack(planes, axis=-1)),
        codes=codes,
        affine=crop_affine,
        index=np.linalg.inv(crop_affine) @ turn_from,
        shrink=shrink,
    )


def nifti_base64(array: np.ndarray, affine: np.ndarray) -> str:
    """A gzipped NIfTI file of a uint8 array (x, y, z) as base64, the same bytes each time."""
    return base64.b64encode(gzip.compress(nib.Nifti1Image(array, affine).to_bytes(), 9, mtime=0)).decode()
