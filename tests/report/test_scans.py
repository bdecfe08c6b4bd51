"""Turning, cropping and coarsening of what the viewer draws, and where its cross-hair goes."""

import base64
import gzip

import nibabel as nib
import numpy as np
import pytest

from nnunetv2_sizepenalty.evaluation.instances import find_instances
from nnunetv2_sizepenalty.evaluation.protocols import PROTOCOLS
from nnunetv2_sizepenalty.report.places import find_places
from nnunetv2_sizepenalty.report.scans import Scan, make_scan, nifti_base64, quantise
from nnunetv2_sizepenalty.report.slices import on_screen, shown_slices

AFFINES = {
    "RAS": np.diag([2.0, 2.0, 5.0, 1.0]),
    "LPS": np.diag([-2.0, -2.0, 5.0, 1.0]),
    # The file's axes run back, up, right: a sagittal acquisition.
    "sagittal": np.array([[0, 0, 2.0, 0], [-2.0, 0, 0, 0], [0, 5.0, 0, 0], [0, 0, 0, 1.0]]),
    "oblique": nib.affines.from_matvec(
        nib.eulerangles.euler2mat(0.1, 0.2, -0.3) @ np.diag([2.0, 2.0, 5.0]), [10, -20, 30]
    ),
}


def masks(shape=(20, 60, 50), voxel=(12, 40, 9)):
    reference, prediction = np.zeros(shape, bool), np.zeros(shape, bool)
    reference[voxel] = True
    prediction[voxel[0], voxel[1], voxel[2] + 3] = True
    return reference, prediction


def place(scan: Scan, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Voxels and widths in mm of a mask's lesions in the scan."""
    instances = find_instances(mask, (1.0, 1.0, 1.0), PROTOCOLS["default"], is_reference=True)
    return scan.place(find_places(instances))


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
def test_a_voxel_keeps_its_place_in_the_world(affine):
    reference, prediction = masks()
    scan = make_scan({"a": reference}, {"a": prediction}, {}, affine)
    ((at,), _) = place(scan, reference)
    assert scan.codes["a"][tuple(at)] == 1
    assert (scan.to_file @ [*at, 1]) == pytest.approx([9, 40, 12])
    assert (scan.affine @ [*at, 1])[:3] == pytest.approx((affine @ [9, 40, 12, 1])[:3])
    assert nib.aff2axcodes(scan.affine) == ("R", "A", "S")


def test_the_image_turns_with_the_masks():
    reference, prediction = masks()
    image = np.zeros(reference.shape, np.float32)
    image[reference] = 100.0
    scan = make_scan({"a": reference}, {"a": prediction}, {"DWI": image}, AFFINES["sagittal"])
    assert np.array_equal(scan.image == 255, scan.codes["a"] == 1)


def test_crop_keeps_the_margin_and_no_more():
    reference, prediction = masks(shape=(40, 200, 200), voxel=(20, 100, 100))
    scan = make_scan({"a": reference}, {"a": prediction}, {}, AFFINES["RAS"])
    # 20 mm are 10 voxels of 2 mm and 4 of 5 mm on each side of 4 x 1 x 1 voxels.
    assert scan.shape == (4 + 20, 1 + 20, 1 + 8)


@pytest.mark.parametrize("label", ["a", "b"])
def test_labels_share_one_crop(label):
    (first, second), (third, fourth) = masks(voxel=(2, 5, 5)), masks(voxel=(18, 55, 40))
    scan = make_scan({"a": first, "b": third}, {"a": second, "b": fourth}, {}, AFFINES["RAS"])
    assert scan.codes[label].shape == scan.shape
    assert (scan.codes[label] == 1).sum() == (scan.codes[label] == 2).sum() == 1


def test_coarsening_loses_no_lesion():
    rng = np.random.default_rng(0)
    reference = rng.random((40, 120, 120)) < 0.002
    scan = make_scan({"a": reference}, {"a": ~reference & False}, {}, AFFINES["RAS"], max_voxels=20_000)
    assert np.prod(scan.shape) <= 20_000
    assert scan.shrink[0] >= scan.shrink[2], "the finest axes are made coarser first"
    instances = find_instances(reference, (1.0, 1.0, 1.0), PROTOCOLS["default"], is_reference=True)
    places = find_places(instances)
    voxels, _ = scan.place(places)
    assert len(voxels) == len(instances) > 100
    for (x, y, z), nearest in zip(places.voxel, voxels, strict=True):
        assert reference[z, y, x]
        assert scan.codes["a"][tuple(nearest)] == 1
        offset = (scan.affine @ [*nearest, 1])[:3] - (AFFINES["RAS"] @ [x, y, z, 1])[:3]
        assert np.all(np.abs(offset) <= np.array(scan.spacing_mm) / 2 + 1e-6)


def test_empty_masks_show_the_whole_volume():
    empty = np.zeros((4, 6, 5), bool)
    scan = make_scan({"a": empty}, {"a": empty}, {}, AFFINES["RAS"])
    assert scan.shape == (5, 6, 4)
    assert shown_slices(scan) == [2]
    assert place(scan, empty)[0].shape == (0, 3)


def test_centroid_outside_a_ring_lands_on_the_ring():
    ring = np.zeros((3, 40, 40), bool)
    ring[1, 5:35, 5:35] = True
    ring[1, 8:32, 8:32] = False
    scan = make_scan({"a": ring}, {"a": ring & False}, {}, AFFINES["RAS"])
    voxels, widths = place(scan, ring)
    assert scan.codes["a"][tuple(voxels[0])] == 1
    assert widths.tolist() == [60.0], "30 voxels of 2 mm"


def test_photographs_stay_as_they_are_on_screen():
    reference, prediction = np.zeros((1, 30, 40), bool), np.zeros((1, 30, 40), bool)
    reference[0, 2, 3] = True
    image = np.random.default_rng(0).integers(0, 255, (3, 1, 30, 40)).astype(np.float32)
    scan = make_scan({"a": reference}, {"a": prediction}, {"photograph": image}, np.eye(4))
    assert scan.image.shape[2:] == (1, 3)
    shown = on_screen(scan.image[:, :, 0, 0])
    assert np.array_equal(on_screen(scan.codes["a"][:, :, 0]) == 1, reference[0, : shown.shape[0], : shown.shape[1]])


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.0, 1.0], [0, 255]), ([7.0, 7.0], [0, 0]), ([np.nan, 0.0, 10.0], [0, 0, 255])],
    ids=["range", "constant", "nan"],
)
def test_quantise(values, expected):
    assert quantise(np.array(values)).values.tolist() == expected


def test_nifti_reads_back_and_is_the_same_each_time():
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    text = nifti_base64(array, AFFINES["oblique"])
    image = nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(text)))
    assert np.array_equal(np.asarray(image.dataobj), array)
    assert image.affine == pytest.approx(AFFINES["oblique"], abs=1e-5)
    assert text == nifti_base64(array, AFFINES["oblique"])


def test_only_slices_with_lesions_and_their_neighbours_are_shown():
    reference, prediction = masks(shape=(40, 30, 30), voxel=(20, 10, 10))
    scan = make_scan({"a": reference}, {"a": prediction}, {}, AFFINES["RAS"])
    assert shown_slices(scan) == [3, 4, 5]
