"""Folders of lesion masks: which files count, where their voxels lie, what is refused in one line."""

import nibabel as nib
import numpy as np
import pytest
from lesion_mask_files import SHAPE_XYZ, block, save

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.phantom.lesion_masks import ARCHIVE, MaskFolder


def centre_mm(mask):
    """Mean x, y, z of the lesion's voxels."""
    return nib.affines.apply_affine(mask.affine, np.argwhere(mask.voxels)[:, ::-1]).mean(0)


def test_nifti_files_at_any_depth_count_and_atlases_do_not(tmp_path):
    for name in ("b/bwsrsub-7_lesion.nii.gz", "sub-1_desc-lesion_mask.nii", "lesion_mean_1449.nii.gz", "atlas.nii.gz"):
        save(tmp_path / name, block((50, 80, 60), (54, 84, 64)))
    assert MaskFolder.open(tmp_path).names == ("b/bwsrsub-7_lesion.nii.gz", "sub-1_desc-lesion_mask.nii")


def test_the_archive_and_nifti_files_hold_the_same(tmp_path):
    masks = {"sub-1": block((40, 80, 60), (44, 90, 63)), "sub-2": block((90, 100, 80), (95, 101, 82))}
    for name, mask in masks.items():
        save(tmp_path / "files" / f"{name}_lesion.nii.gz", mask)
    packed = {name: np.packbits(mask) for name, mask in masks.items()}
    (tmp_path / "archive").mkdir()
    np.savez(tmp_path / "archive" / ARCHIVE, shape=np.array(SHAPE_XYZ), **packed)
    files, archive = MaskFolder.open(tmp_path / "files"), MaskFolder.open(tmp_path / "archive")
    assert archive.names == ("sub-1", "sub-2")
    for a, b in zip(files.names, archive.names, strict=True):
        one, other = files.read(a), archive.read(b)
        assert np.array_equal(one.voxels, other.voxels)
        assert one.voxels.dtype == bool
        assert np.array_equal(one.affine, other.affine)
    # Voxel (40..43, 80..89, 60..62) lies right of the midline: x = 78 - i, y = j - 112, z = k - 50.
    assert centre_mm(archive.read("sub-1")) == pytest.approx([78 - 41.5, 84.5 - 112, 61 - 50])


def test_any_affine_will_do(tmp_path):
    coarse = np.zeros((60, 70, 50), np.float32)
    coarse[20, 30, 25] = 0.6
    coarse[21, 30, 25] = 0.4  # below a half
    save(tmp_path / "sub-1_lesion.nii.gz", coarse, nib.affines.from_matvec(np.diag([3, 3, 2.5]), (-90, -110, -50)))
    mask = MaskFolder.open(tmp_path).read("sub-1_lesion.nii.gz")
    assert mask.spacing_mm == pytest.approx((2.5, 3, 3))
    assert centre_mm(mask) == pytest.approx([-30, -20, 12.5])


@pytest.mark.parametrize(("mirror", "x_mm"), [(False, 36.5 + 2), (True, -36.5 + 2)], ids=["as it is", "mirrored"])
def test_a_mask_moves_in_millimetres(tmp_path, mirror, x_mm):
    save(tmp_path / "sub-1_lesion.nii.gz", block((40, 80, 60), (44, 90, 63)))
    moved = MaskFolder.open(tmp_path).read("sub-1_lesion.nii.gz").moved(mirror, np.array([2.0, -3.0, 1.0]))
    assert centre_mm(moved) == pytest.approx([x_mm, -27.5 - 3, 11 + 1])


def test_a_mask_without_a_lesion_is_a_mask(tmp_path):
    save(tmp_path / "sub-1_lesion.nii.gz", np.zeros(SHAPE_XYZ, np.uint8))
    assert not MaskFolder.open(tmp_path).read("sub-1_lesion.nii.gz").voxels.any()


def not_a_nifti(path):
    path.write_text("no image")


def cut_short(path):
    save(path, block((40, 80, 60), (44, 90, 63)))
    path.write_bytes(path.read_bytes()[:-2000])


def four_dimensional(path):
    save(path, np.ones((4, 4, 4, 2), np.uint8))


def elsewhere(path):
    save(path, block((0, 0, 0), (9, 9, 9)))


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (not_a_nifti, "cannot be read"),
        (cut_short, "cannot be read"),
        (four_dimensional, "4 dimensions"),
        (elsewhere, "MNI space"),
    ],
    ids=["text", "cut short", "4D", "outside the brain"],
)
def test_a_mask_that_cannot_be_used_is_named(tmp_path, write, words):
    write(tmp_path / "sub-1_lesion.nii.gz")
    with pytest.raises(UserError, match=words) as error:
        MaskFolder.open(tmp_path).read("sub-1_lesion.nii.gz")
    assert "sub-1_lesion.nii.gz" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"no archive", b"PK\x03\x04 cut short", b""], ids=["text", "cut short", "empty"])
def test_a_broken_archive_is_named(tmp_path, content):
    (tmp_path / ARCHIVE).write_bytes(content)
    with pytest.raises(UserError, match=ARCHIVE):
        MaskFolder.open(tmp_path)
