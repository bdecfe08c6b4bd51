"""What a voxel measures: sheared headers, and images that have no spacing, through every reader of nnU-Net's."""

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
from nnunetv2.imageio.nibabel_reader_writer import NibabelIO, NibabelIOWithReorient
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from skimage import io

from nnunetv2_sizepenalty.evaluation.masks import MaskReader
from nnunetv2_sizepenalty.lesions import ML, PX, size_of, size_unit, voxel_volume_mm3
from nnunetv2_sizepenalty.nnunet_io.spacing import spacing_of, voxel_mm

LABELS = np.zeros((4, 5, 6), np.uint8)
LABELS[1, 2, 3] = 1
# the second axis leans by 60 degrees: a voxel of 1 x 2 x 3 mm has half of a box's volume
LEANING = np.array([[1, 2 * np.sin(np.pi / 3), 0], [0, 2 * np.cos(np.pi / 3), 0], [0, 0, 3]])


def nifti(path, matrix=LEANING):
    affine = np.eye(4)
    affine[:3, :3] = matrix
    nibabel.save(nibabel.Nifti1Image(LABELS.T, affine), path / "a.nii.gz")
    return path / "a.nii.gz"


def mha(path, matrix=LEANING):
    image = sitk.GetImageFromArray(LABELS)
    image.SetSpacing((1, 2, 3))
    image.SetDirection((matrix / [1, 2, 3]).ravel().tolist())
    sitk.WriteImage(image, path / "a.mha")
    return path / "a.mha"


READERS = [
    pytest.param(nifti, NibabelIO, id="nibabel"),
    pytest.param(nifti, NibabelIOWithReorient, id="nibabel, reoriented"),
    pytest.param(mha, SimpleITKIO, id="SimpleITK"),
]


@pytest.mark.parametrize(("write", "reader"), READERS)
def test_a_sheared_voxel_has_the_determinants_volume(tmp_path, write, reader):
    spacing = spacing_of(reader().read_seg(str(write(tmp_path)))[1])
    assert spacing == pytest.approx((3, 2, 1))
    assert voxel_volume_mm3(spacing) == pytest.approx(3)


@pytest.mark.parametrize(("write", "reader"), [*READERS, pytest.param(nifti, None), pytest.param(mha, None)])
def test_masks_know_it_too(tmp_path, write, reader):
    _, grid = MaskReader(reader).read(write(tmp_path))
    assert grid.spacing_mm == pytest.approx((3, 2, 1))
    assert size_of(1, grid.spacing_mm) == pytest.approx(0.003)


@pytest.mark.parametrize(("write", "reader"), READERS)
def test_rounding_in_a_header_is_no_shear(tmp_path, write, reader):
    turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]]).astype(np.float32)
    spacing = spacing_of(reader().read_seg(str(write(tmp_path, turn * [1, 2, 3])))[1])
    assert voxel_volume_mm3(spacing) == np.prod(np.asarray(spacing))


def test_images_without_a_spacing_are_of_pixels(tmp_path):
    io.imsave(tmp_path / "a.png", LABELS[1], check_contrast=False)
    spacing = spacing_of(NaturalImage2DIO().read_seg(str(tmp_path / "a.png"))[1])
    assert spacing == (1, 1, 1)
    assert size_unit(spacing) == PX
    assert size_of(17, spacing) == 17


def test_a_2d_image_with_a_spacing_has_areas(tmp_path):
    image = sitk.GetImageFromArray(LABELS[1])
    image.SetSpacing((0.5, 0.4))
    sitk.WriteImage(image, tmp_path / "a.mha")
    spacing = spacing_of(SimpleITKIO().read_seg(str(tmp_path / "a.mha"))[1])
    assert spacing == pytest.approx((1, 0.4, 0.5))
    assert size_unit(spacing) == ML


@pytest.mark.parametrize(
    ("median", "spacing", "steps", "unit"),
    [
        pytest.param((999, 1, 1), (1, 1), (1, 1, 1), PX, id="PNG"),
        pytest.param((999, 1, 1), (999, 2, 2), (1, 2, 2), PX, id="PNG at half of its size"),
        pytest.param((399.6, 0.4, 0.3), (0.4, 0.3), (1, 0.4, 0.3), ML, id="2D with a spacing"),
        pytest.param((5, 0.4, 0.3), (0.4, 0.3), (5, 0.4, 0.3), ML, id="slices of volumes"),
        pytest.param((5, 0.4, 0.3), (5, 0.4, 0.3), (5, 0.4, 0.3), ML, id="volumes"),
    ],
)
def test_a_plans_patches(median, spacing, steps, unit):
    plans = PlansManager(
        {
            "original_median_spacing_after_transp": median,
            "configurations": {"2d": {"spacing": list(spacing), "architecture": {}}},
        }
    )
    found = voxel_mm(plans, plans.get_configuration("2d"))
    assert (found, size_unit(found)) == (steps, unit)
