"""Reading, checking and resampling the volumes of one case; SimpleITK throughout, as nnU-Net's default reader."""

from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk

# Largest difference of spacing and origin (mm) and of a direction cosine between images of one case.
GRID_TOLERANCE = 1e-3


def read_volume(path: Path, role: str) -> sitk.Image:
    """Reads a finite, scalar 3D volume.

    Raises:
        ValueError: the file cannot be read, is not 3D, or holds NaN or infinite values.
    """
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        # ITK's exception ends with the reason; what stands before is C++ file names.
        reason = " ".join(str(error).strip().rsplit("\n", 1)[-1].split())
        raise ValueError(f"{role} {path} cannot be read: {reason}") from None
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        dimensions = image.GetDimension() + (image.GetNumberOfComponentsPerPixel() > 1)
        raise ValueError(f"{role} {path} is {dimensions}D, expected one 3D volume")
    if not _is_finite(image, path):
        raise ValueError(f"{role} {path} holds NaN or infinite values; replace them first")
    return image


def _is_finite(image: sitk.Image, path: Path) -> bool:
    if path.name.endswith((".nii", ".nii.gz")):
        # ITK's NIfTI reader silently turns NaN and infinite values into 0.
        return bool(np.isfinite(np.asanyarray(nibabel.load(path).dataobj)).all())
    return bool(np.isfinite(sitk.GetArrayViewFromImage(image)).all())


def require_contrast(image: sitk.Image, role: str) -> None:
    """Refuses, with a ValueError, an image of which every voxel holds the same value."""
    values = sitk.GetArrayViewFromImage(image)
    if values.min() == values.max():
        raise ValueError(f"{role} is constant ({values.min():g} everywhere)")


def require_labels(mask: sitk.Image, allowed: Sequence[int]) -> None:
    """Refuses, with a ValueError, a mask that holds other values than `allowed`."""
    found = np.setdiff1d(sitk.GetArrayViewFromImage(mask), allowed)
    if found.size:
        shown = ", ".join(f"{value:g}" for value in found[:5])
        raise ValueError(f"the mask holds {shown}{', ...' if found.size > 5 else ''}, expected {allowed} alone")


def require_same_grid(image: sitk.Image, role: str, reference: sitk.Image, reference_role: str) -> None:
    """Refuses, with a ValueError, size, spacing, origin and direction that differ by more than `GRID_TOLERANCE`."""
    for what in ("Size", "Spacing", "Origin", "Direction"):
        ours, theirs = (getattr(i, f"Get{what}")() for i in (image, reference))
        if not np.allclose(ours, theirs, rtol=0, atol=GRID_TOLERANCE):
            shown = " and ".join(str(tuple(round(float(v), 4) for v in values)) for values in (ours, theirs))
            raise ValueError(
                f"{role} and {reference_role} lie on different grids: {what.lower()} (x, y, z) {shown}; resample one"
            )


def resampled_grid(image: sitk.Image, spacing_mm: Sequence[float]) -> sitk.Image:
    """An empty image of that spacing (z, y, x) over the same field of view, whose first corner is kept."""
    old = np.array(image.GetSpacing())
    new = np.array(spacing_mm[::-1], dtype=float)
    size = np.maximum(1, np.round(np.array(image.GetSize()) * old / new)).astype(int)
    grid = sitk.Image([int(n) for n in size], sitk.sitkUInt8)
    direction = np.array(image.GetDirection()).reshape(3, 3)
    # Voxel centres move with the voxel size; it is the corner of the field of view that stays.
    grid.SetOrigin((np.array(image.GetOrigin()) + direction @ ((new - old) / 2)).tolist())
    grid.SetDirection(image.GetDirection())
    grid.SetSpacing(new.tolist())
    return grid


def resample_volume(image: sitk.Image, spacing_mm: Sequence[float]) -> sitk.Image:
    """Cubic B-spline, clipped to the image's own range: splines overshoot at edges. Returns float32."""
    values = sitk.GetArrayViewFromImage(image)
    low, high = float(values.min()), float(values.max())
    image = sitk.Cast(image, sitk.sitkFloat32)
    return sitk.Clamp(_resample(image, spacing_mm, sitk.sitkBSpline), sitk.sitkFloat32, low, high)


def resample_mask(mask: sitk.Image, spacing_mm: Sequence[float]) -> sitk.Image:
    """Linear interpolation of the binary mask, cut at one half. Returns uint8."""
    return _resample(sitk.Cast(mask, sitk.sitkFloat32), spacing_mm, sitk.sitkLinear) >= 0.5


def _resample(image: sitk.Image, spacing_mm: Sequence[float], interpolator: int) -> sitk.Image:
    # Rounding may place the outermost centres on the field of view's very edge, hence the extrapolator.
    return sitk.Resample(
        image, resampled_grid(image, spacing_mm), sitk.Transform(), interpolator, 0.0, sitk.sitkFloat32, True
    )
