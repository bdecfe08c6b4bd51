"""A case as the viewer draws it: turned to RAS+, cropped to the head or its lesions, one byte a voxel."""

import base64
import gzip
from collections.abc import Mapping
from dataclasses import dataclass

import nibabel as nib
import numpy as np
from skimage.measure import block_reduce

from nnunetv2_sizepenalty.report.crop import (
    MAX_VOXELS,
    box_shape,
    choose_box,
    foreground_box,
    shrink_factors,
)
from nnunetv2_sizepenalty.report.places import Places

# Codes of the mask volumes.
REFERENCE_ALONE, PREDICTION_ALONE, BOTH = 1, 2, 3
# What a byte spans, and what is shown at first: the brightest half percent is saturated until the window is widened.
SPAN, WINDOW = (0.02, 99.98), (0.5, 99.5)


@dataclass(frozen=True)
class Channel:
    """One image of a case.

    Attributes:
        values: uint8 (x, y, z), with a last axis of 3 where it is a colour photograph.
        low, high: the image's own values at 0 and at 255.
        window: what is shown at first, bytes.
    """

    values: np.ndarray
    low: float
    high: float
    window: tuple[int, int]

    @property
    def windowed(self) -> np.ndarray:
        """The bytes as they are shown at first."""
        first, last = self.window
        return np.clip((self.values.astype(np.float32) - first) * (255 / (last - first)), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Scan:
    """One case, arrays (x, y, z) in RAS+ order; a 2D case has one z and keeps the order of its pixels on screen.

    Attributes:
        channels: name -> image, the one to show first in front; empty without images.
        codes: a label's mask (1 reference alone, 2 prediction alone, 3 both).
        affine: voxels to mm.
        index: an index (x, y, z, 1) of the file to one of these arrays.
        shrink: by how much each axis was made coarser.
        file_shape: voxels of the file along its x, y, z.
    """

    channels: dict[str, Channel]
    codes: dict[str, np.ndarray]
    affine: np.ndarray
    index: np.ndarray
    shrink: tuple[int, int, int]
    file_shape: tuple[int, int, int]

    @property
    def image(self) -> np.ndarray | None:
        """The channel that is shown first, in its first window."""
        return next((channel.windowed for channel in self.channels.values()), None)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along x, y, z."""
        return next(iter(self.codes.values())).shape

    @property
    def spacing_mm(self) -> np.ndarray:
        """Size of a voxel along x, y, z."""
        return nib.affines.voxel_sizes(self.affine)

    @property
    def file_axes(self) -> np.ndarray:
        """The file's axis (0 is x) that runs along each of this scan's."""
        return np.abs(self.index[:3, :3] * self.spacing_mm[:, None]).argmax(axis=1)

    @property
    def to_file(self) -> np.ndarray:
        """From a voxel (x, y, z, 1) of this scan to the index (x, y, z) of the file, shape (3, 4)."""
        return np.linalg.inv(self.index)[:3]

    def place(self, places: Places) -> tuple[np.ndarray, np.ndarray]:
        """Where lesions lie in this scan: a voxel of each, shape (n, 3), and how wide they are in its plane, in mm."""
        homogeneous = np.concatenate([places.voxel, np.ones((len(places.voxel), 1))], axis=1)
        voxels = np.rint(homogeneous @ self.index.T)[:, :3].astype(int)
        axes, fine_mm = self.file_axes, self.spacing_mm / self.shrink
        in_plane = places.extent[:, axes[:2]] * fine_mm[:2]
        return np.clip(voxels, 0, np.array(self.shape) - 1), in_plane.max(axis=1, initial=0)


def quantise(image: np.ndarray) -> Channel:
    """An image in bytes between its outermost values, a few voxels apart, and the window to start with."""
    image = np.nan_to_num(np.asarray(image, dtype=np.float32))
    low, high, first, last = np.percentile(image, (*SPAN, *WINDOW))
    if high <= low:
        low, high = float(image.min()), float(image.max())
    scale = 255 / max(high - low, 1e-12)
    window = tuple(int(np.clip(np.rint((end - low) * scale), 0, 255)) for end in (first, last))
    values = (np.clip((image - low) * scale, 0, 255)).astype(np.uint8)
    return Channel(values, float(low), float(high), window if window[1] > window[0] else (0, 255))


def make_scan(
    reference: Mapping[str, np.ndarray],
    prediction: Mapping[str, np.ndarray],
    images: Mapping[str, np.ndarray],
    affine: np.ndarray,
    *,
    max_voxels: int = MAX_VOXELS,
) -> Scan:
    """Builds a `Scan`.

    Args:
        reference, prediction: label -> mask (z, y, x); a 2D case has one z.
        images: name -> image (z, y, x), or (3, z, y, x) for colours; empty for masks alone.
        affine: index (x, y, z, 1) of the files to RAS+ mm.
        max_voxels: a larger crop is made coarser: the image by its mean, masks by their maximum, so that no lesion
            vanishes.
    """
    two_d = next(iter(reference.values())).shape[0] == 1
    # Photographs have no anatomical sides: an affine of LPS leaves their pixels where they are on the screen.
    turn_from = np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.diag([*nib.affines.voxel_sizes(affine), 1.0]) if two_d else affine

    def turned(array: np.ndarray) -> nib.Nifti1Image:
        return nib.as_closest_canonical(nib.Nifti1Image(np.moveaxis(array, (-3, -2, -1), (2, 1, 0)), turn_from))

    def canonical(array: np.ndarray) -> np.ndarray:
        return np.asarray(turned(array).dataobj)

    union = turned(np.any([*reference.values(), *prediction.values()], axis=0).astype(np.uint8))
    spacing_mm = nib.affines.voxel_sizes(union.affine)
    first = next(iter(images.values()), None)
    foreground = None if first is None else foreground_box(canonical(np.asarray(_grey(first), dtype=np.float32)))
    box = choose_box(np.asarray(union.dataobj), foreground, spacing_mm)
    shrink = shrink_factors(box_shape(box), spacing_mm, max_voxels)

    def cropped(array: np.ndarray, how) -> np.ndarray:
        return block_reduce(canonical(array)[box], shrink, how)

    def channel(image: np.ndarray) -> Channel:
        planes = [cropped(np.asarray(c, dtype=np.float32), np.mean) for c in (image if image.ndim == 4 else [image])]
        return quantise(planes[0] if len(planes) == 1 else np.stack(planes, axis=-1))

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
    return Scan(
        channels={name: channel(image) for name, image in images.items()},
        codes=codes,
        affine=crop_affine,
        index=np.linalg.inv(crop_affine) @ turn_from,
        shrink=shrink,
        file_shape=next(iter(reference.values())).shape[::-1],
    )


def _grey(image: np.ndarray) -> np.ndarray:
    return image.mean(axis=0) if image.ndim == 4 else image


def nifti_base64(array: np.ndarray, affine: np.ndarray) -> str:
    """A gzipped NIfTI file of a uint8 array (x, y, z) as base64, the same bytes each time."""
    return base64.b64encode(gzip.compress(nib.Nifti1Image(array, affine).to_bytes(), 9, mtime=0)).decode()
