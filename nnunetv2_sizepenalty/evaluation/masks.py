"""Reads masks with their place in space: SimpleITK's formats directly, the others through nnU-Net's readers."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.lesions import SizeUnit, Spacing, size_unit
from nnunetv2_sizepenalty.nnunet_io.image_reader import find_reader
from nnunetv2_sizepenalty.nnunet_io.spacing import affine_of, reader_unit, spacing_of

SITK_ENDINGS = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd", ".gipl.gz", ".gipl")
NNUNET_ENDINGS = (".png", ".bmp", ".tif", ".tiff")
ENDINGS = (*SITK_ENDINGS, *NNUNET_ENDINGS)
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Grid:
    """shape (z, y, x), or (y, x) for one slice; spacing_mm in that order; affine from voxel (x, y, z) to RAS+ mm.

    `spacing_mm` of a file that was read knows what its voxels measure, sheared ones too.
    """

    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    affine: np.ndarray

    def to_world(self, zyx: np.ndarray) -> np.ndarray:
        """World coordinates (x, y, z) in mm of voxel indices (z, y, x), shape (n, 3)."""
        return zyx[:, ::-1] @ self.affine[:3, :3].T + self.affine[:3, 3]

    def difference(self, other: "Grid") -> str | None:
        """What differs by more than 1e-3 from `other`, or None."""
        if self.shape != other.shape:
            return f"shape {self.shape} instead of {other.shape}"
        (spacing, direction, origin), (spacing_o, direction_o, origin_o) = self._parts(), other._parts()
        for name, ours, theirs in (
            ("spacing", spacing, spacing_o),
            ("origin", origin, origin_o),
            ("direction", direction, direction_o),
        ):
            if np.abs(ours - theirs).max() > TOLERANCE:
                ours, theirs = ((np.round(part, 4) + 0.0).tolist() for part in (ours, theirs))  # no -0.0
                return f"{name} {ours} instead of {theirs}"
        return None

    def _parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        spacing = np.linalg.norm(self.affine[:3, :3], axis=0)
        return spacing, self.affine[:3, :3] / spacing, self.affine[:3, 3]


@dataclass(frozen=True)
class MaskReader:
    """Reads masks; `nnunet_class` is nnU-Net's reader class, or None for SimpleITK's formats."""

    nnunet_class: type | None = None

    @property
    def unit(self) -> SizeUnit:
        """What sizes in these files are given in."""
        return reader_unit(self.nnunet_class)

    def read(self, path: Path) -> tuple[np.ndarray, Grid]:
        """Integer labels (z, y, x), or (y, x) where there is a single slice, and their grid.

        Raises:
            UserError: the file can't be read, is not 2D or 3D, or holds values that are no labels.
        """
        try:
            if self.nnunet_class is not None:
                array, affine, spacing = _read_nnunet(self.nnunet_class(), path)
            else:
                array, affine, spacing = _read_sitk(path)
        except Exception as error:
            # Readers raise whatever their libraries do; the file's name and the last line are what helps.
            reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
            raise UserError(f"{path}: cannot be read ({reason}); replace the file") from None
        if array.ndim == 4 and array.shape[0] == 1:
            array = array[0]
        if array.ndim not in (2, 3):
            raise UserError(f"{path}: has {array.ndim} axes; give a 2D or 3D mask")
        if array.ndim == 3 and array.shape[0] == 1:
            array = array[0]
        spacing = Spacing(spacing[-array.ndim :], matrix=affine[:3, :3], unit=size_unit(spacing))
        return _as_labels(array, path), Grid(array.shape, spacing, affine)


def _as_labels(array: np.ndarray, path: Path) -> np.ndarray:
    if array.dtype.kind in "iub":
        return array
    labels = np.rint(array)
    if not np.abs(array - labels).max(initial=0) <= TOLERANCE:
        raise UserError(f"{path}: holds values that are no labels (probabilities?); give a mask of integers")
    return labels.astype(np.int32)


def _read_sitk(path: Path) -> tuple[np.ndarray, np.ndarray, Sequence[float]]:
    try:
        image = sitk.ReadImage(path)
    except RuntimeError as error:
        if "orthonormal" not in str(error):
            raise
        return _read_nibabel(path)
    n = min(image.GetDimension(), 3)
    direction = np.array(image.GetDirection()).reshape((image.GetDimension(),) * 2)
    affine = np.eye(4)
    affine[:n, :n] = direction[:n, :n] * image.GetSpacing()[:n]
    affine[:n, 3] = image.GetOrigin()[:n]
    affine[:2] *= -1  # ITK counts to the left and to the back, NIfTI to the right and to the front
    return sitk.GetArrayFromImage(image), affine, image.GetSpacing()[:n][::-1]


def _read_nibabel(path: Path) -> tuple[np.ndarray, np.ndarray, Sequence[float]]:
    """A NIfTI file whose axes are sheared, which ITK refuses."""
    import nibabel

    image = nibabel.load(path)
    return np.asarray(image.dataobj).T, image.affine, image.header.get_zooms()[:3][::-1]


def _read_nnunet(reader, path: Path) -> tuple[np.ndarray, np.ndarray, Sequence[float]]:
    with contextlib.redirect_stdout(io.StringIO()):
        array, properties = reader.read_seg(str(path))
    if len(array) != 1:
        raise ValueError(f"{len(array)} channels")
    return array[0], affine_of(properties), spacing_of(properties)


def mask_reader(folder: str | Path, dataset_json: dict | None = None) -> tuple[MaskReader, dict[str, Path]]:
    """The reader for a folder's masks, and the masks by case name.

    The ending is dataset.json's, otherwise the one that the folder holds. dataset.json's own reader is used where it
    names one; SimpleITK reads its formats; nnU-Net chooses for the rest.

    Raises:
        UserError: no mask, or masks of several endings.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; name the folder that holds the masks")
    ending = (dataset_json or {}).get("file_ending")
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    if ending is None:
        found = {e for path in files for e in ENDINGS if path.name.lower().endswith(e)}
        if len(found) > 1:
            raise UserError(f"{folder}: masks with several endings ({', '.join(sorted(found))}); keep one kind")
        ending = next(iter(found), None)
    masks = {path.name[: -len(ending)]: path for path in files if ending and path.name.lower().endswith(ending.lower())}
    if not masks:
        raise UserError(f"{folder}: no mask ({ending or ', '.join(ENDINGS)}) in it; name the folder that holds them")
    return MaskReader(_reader_class(ending, dataset_json, next(iter(masks.values())))), masks


def _reader_class(ending: str, dataset_json: dict | None, example: Path) -> type | None:
    named = (dataset_json or {}).get("overwrite_image_reader_writer", "None")
    if named in ("None", "SimpleITKIO") and ending.lower() in SITK_ENDINGS:
        return None
    return find_reader({"file_ending": ending, "overwrite_image_reader_writer": named}, example)
