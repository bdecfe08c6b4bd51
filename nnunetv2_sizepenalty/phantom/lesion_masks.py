"""Folders of real lesion masks in MNI space, read one patient at a time."""

import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.lesions import Spacing
from nnunetv2_sizepenalty.phantom.mni import brain_map, sample

# Bits of SOOP's masks, one array a patient, and their common `shape` (x, y, z).
ARCHIVE = "lesion_masks_mni_1mm.npz"
ARCHIVE_AFFINE = np.array([[-1, 0, 0, 78], [0, 1, 0, -112], [0, 0, 1, -50], [0, 0, 0, 1]], float)
# What readers raise over broken files.
_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    zlib.error,
    nib.filebasedimages.ImageFileError,
    nib.spatialimages.HeaderDataError,
)
# SOOP's own names (bwsrsub-1004_lesion), and those of BIDS derivatives (sub-1_desc-lesion_mask).
_PATTERNS = tuple(f"*lesion{suffix}.nii{packed}" for suffix in ("", "_mask") for packed in ("", ".gz"))


@dataclass(frozen=True)
class LesionMask:
    """One patient's lesions: bool (z, y, x), and the affine from voxel (x, y, z) to MNI mm (RAS)."""

    voxels: np.ndarray
    affine: np.ndarray

    @property
    def spacing_mm(self) -> Spacing:
        """Along z, y, x."""
        return Spacing(nib.affines.voxel_sizes(self.affine)[::-1], matrix=self.affine[:3, :3])

    def moved(self, mirror: bool, shift_mm: np.ndarray) -> "LesionMask":
        """The mask on the other side of the midline, if `mirror`, and then shifted by x, y, z."""
        motion = np.diag([-1.0 if mirror else 1.0, 1, 1, 1])
        motion[:3, 3] = shift_mm
        return replace(self, affine=motion @ self.affine)


@dataclass(frozen=True)
class MaskFolder:
    """A folder's masks by name, in sorted order: NIfTI files at any depth, or the keys of `ARCHIVE`."""

    folder: Path
    names: tuple[str, ...]

    @classmethod
    def open(cls, folder: str | Path) -> "MaskFolder":
        """Lists the masks; reads none of them.

        Raises:
            UserError: no folder, or no masks in it.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder of lesion masks")
        if (folder / ARCHIVE).is_file():
            with _archive(folder / ARCHIVE) as archive:
                names = [name for name in archive.files if name != "shape"]
        else:
            names = [path.relative_to(folder).as_posix() for pattern in _PATTERNS for path in folder.rglob(pattern)]
        if not names:
            raise UserError(
                f"{folder} holds no lesion masks: give a folder with *lesion.nii.gz or *lesion_mask.nii.gz in MNI "
                f"space, or with SOOP's {ARCHIVE}"
            )
        return cls(folder, tuple(sorted(names)))

    def read(self, name: str) -> LesionMask:
        """One mask; voxels above 0.5 are lesion.

        Raises:
            UserError: no three-dimensional mask, or one whose lesion lies outside MNI's brain.
        """
        path = self.folder / ARCHIVE if (self.folder / ARCHIVE).is_file() else self.folder / name
        mask = _from_archive(path, name) if path.name == ARCHIVE else _from_nifti(path)
        indices = np.argwhere(mask.voxels)[:, ::-1]
        places = nib.affines.apply_affine(mask.affine, indices).T.astype(np.float32)
        if len(indices) and sample(brain_map(), places).mean() < 0.5:
            raise UserError(f"{path}: most of the lesion lies outside the MNI152 brain, give masks in MNI space")
        return mask


def _archive(path: Path):
    try:
        archive = np.load(path)
        archive["shape"]
    except (*_UNREADABLE, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read ({error}): get it anew") from error
    return archive


def _from_archive(path: Path, name: str) -> LesionMask:
    with _archive(path) as archive:
        shape = tuple(archive["shape"])
        bits = np.unpackbits(archive[name], count=int(np.prod(shape)))
    return LesionMask(bits.reshape(shape).transpose(2, 1, 0).astype(bool), ARCHIVE_AFFINE)


def _from_nifti(path: Path) -> LesionMask:
    try:
        image = nib.load(path)
        values = np.asanyarray(image.dataobj)
    except _UNREADABLE as error:
        raise UserError(f"{path} cannot be read ({error}): get it anew, or take it out of the folder") from error
    if values.ndim != 3:
        raise UserError(f"{path} has {values.ndim} dimensions: give a mask of three, or take it out of the folder")
    return LesionMask((values > 0.5).transpose(2, 1, 0), image.affine)
