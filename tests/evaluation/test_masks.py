"""Reading masks of every format, and grids that agree or don't."""

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from skimage import io

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation.masks import Grid, mask_reader

LABELS = np.zeros((4, 5, 6), dtype=np.uint8)
LABELS[1, 2, 3] = 1
LABELS[3, 4, 5] = 2


def itk_image(array=LABELS, spacing=(0.5, 0.6, 3.0), origin=(10.0, 20.0, 30.0), direction=None):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    if direction is not None:
        image.SetDirection(np.ravel(direction).tolist())
    return image


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".mha", ".nrrd"])
def test_simpleitk_formats(tmp_path, ending):
    sitk.WriteImage(itk_image(), tmp_path / f"a.b{ending}")
    (tmp_path / "dataset.json").write_text("{}")
    reader, files = mask_reader(tmp_path)
    assert list(files) == ["a.b"]
    labels, grid = reader.read(files["a.b"])
    np.testing.assert_array_equal(labels, LABELS)
    assert grid.spacing_mm == pytest.approx((3.0, 0.6, 0.5))
    # ITK's x and y run to the left and to the back, the world's here to the right and to the front.
    point = grid.to_world(np.array([[1.0, 2.0, 3.0]]))
    np.testing.assert_allclose(point, [[-(10 + 3 * 0.5), -(20 + 2 * 0.6), 30 + 3.0]], atol=1e-5)


def test_world_coordinates_of_an_oblique_grid_are_nibabels(tmp_path):
    angle = 0.4
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    sitk.WriteImage(itk_image(direction=turn), tmp_path / "a.nii.gz")
    reader, files = mask_reader(tmp_path)
    _, grid = reader.read(files["a"])
    np.testing.assert_allclose(grid.affine, nibabel.load(files["a"]).affine, atol=1e-5)


def test_a_sheared_nifti_is_read_through_nibabel(tmp_path):
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    affine[0, 1] = 0.3
    image = nibabel.Nifti1Image(LABELS.T, affine)
    image.set_sform(affine, 1)
    image.set_qform(None, 0)
    nibabel.save(image, tmp_path / "a.nii.gz")
    reader, files = mask_reader(tmp_path)
    labels, grid = reader.read(files["a"])
    np.testing.assert_array_equal(labels, LABELS)
    np.testing.assert_allclose(grid.affine, affine)


@pytest.mark.parametrize("ending", [".png", ".tif", ".bmp"])
def test_2d_images_through_nnunets_reader(tmp_path, ending):
    io.imsave(tmp_path / f"a{ending}", LABELS[1], check_contrast=False)
    reader, files = mask_reader(tmp_path, {"file_ending": ending})
    labels, grid = reader.read(files["a"])
    np.testing.assert_array_equal(labels, LABELS[1])
    assert grid.spacing_mm == (1.0, 1.0)


def test_3d_tif_with_its_spacing_beside(tmp_path):
    stack = np.concatenate([LABELS, LABELS])  # four slices alone would be taken for the channels of one image
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack")
    (tmp_path / "a.json").write_text('{"spacing": [3.0, 0.5, 0.5]}')
    reader, files = mask_reader(tmp_path)
    labels, grid = reader.read(files["a"])
    np.testing.assert_array_equal(labels, stack)
    assert grid.spacing_mm == (3.0, 0.5, 0.5)


def test_one_slice_is_2d(tmp_path):
    sitk.WriteImage(itk_image(LABELS[1:2]), tmp_path / "a.nii.gz")
    reader, files = mask_reader(tmp_path)
    labels, grid = reader.read(files["a"])
    assert labels.shape == (5, 6)
    assert grid.spacing_mm == pytest.approx((0.6, 0.5))


def test_dataset_json_may_name_the_reader(tmp_path):
    sitk.WriteImage(itk_image(), tmp_path / "a.nii.gz")
    dataset = {"file_ending": ".nii.gz", "overwrite_image_reader_writer": "NibabelIOWithReorient"}
    reader, files = mask_reader(tmp_path, dataset)
    labels, grid = reader.read(files["a"])
    # To RAS: ITK's first two axes run the other way.
    np.testing.assert_array_equal(labels, LABELS[:, ::-1, ::-1])
    np.testing.assert_allclose(np.diag(grid.affine)[:3], [0.5, 0.6, 3.0], atol=1e-6)


def test_probabilities_are_refused(tmp_path):
    sitk.WriteImage(itk_image(LABELS / 2.0), tmp_path / "a.nii.gz")
    reader, files = mask_reader(tmp_path)
    with pytest.raises(UserError, match=r"a\.nii\.gz: holds values that are no labels"):
        reader.read(files["a"])


def test_a_broken_file_is_named(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(b"nothing")
    reader, files = mask_reader(tmp_path)
    with pytest.raises(UserError, match=r"a\.nii\.gz: cannot be read"):
        reader.read(files["a"])


def test_folders_without_masks_or_with_several_kinds(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        mask_reader(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no mask"):
        mask_reader(tmp_path)
    for ending in (".nii.gz", ".mha"):
        sitk.WriteImage(itk_image(), tmp_path / f"a{ending}")
    with pytest.raises(UserError, match="several endings"):
        mask_reader(tmp_path)
    assert list(mask_reader(tmp_path, {"file_ending": ".mha"})[1]) == ["a"]


AFFINE = np.array([[0.5, 0, 0, 10], [0, 0.6, 0, 20], [0, 0, 3.0, 30], [0, 0, 0, 1.0]])


@pytest.mark.parametrize(
    ("index", "change", "says"),
    [
        ((0, 3), 0.0009, None),
        ((0, 3), 0.0011, "origin"),
        ((1, 1), 0.0011, "spacing"),
        ((1, 0), 0.0004, None),
        ((1, 0), 0.001, "direction"),
    ],
)
def test_grids_agree_within_a_thousandth(index, change, says):
    other = AFFINE.copy()
    other[index] += change
    grids = [Grid((4, 5, 6), (3.0, 0.6, 0.5), affine) for affine in (AFFINE, other)]
    difference = grids[1].difference(grids[0])
    assert difference is None if says is None else difference.startswith(says)


def test_another_shape_differs():
    grids = [Grid(shape, (3.0, 0.6, 0.5), AFFINE) for shape in ((4, 5, 6), (4, 5, 7))]
    assert grids[1].difference(grids[0]) == "shape (4, 5, 7) instead of (4, 5, 6)"
