"""Real masks as a source of lesions: shapes, sizes, places, and which patients meet in a case."""

import nibabel as nib
import numpy as np
import pytest
from lesion_mask_files import block, save

from nnunetv2_sizepenalty.phantom import generate_case
from nnunetv2_sizepenalty.phantom.grid import CENTRE_MM
from nnunetv2_sizepenalty.phantom.lesion_masks import ARCHIVE_AFFINE, LesionMask, MaskFolder
from nnunetv2_sizepenalty.phantom.mask_lesions import MaskLesions, components_of
from nnunetv2_sizepenalty.phantom.parameters import MaskPlacement

SMALL = ((48, 64, 64), (3, 3, 3))
AS_IT_IS = MaskPlacement(mirror_chance=0, shift_sd_mm=0, added_chance=0)
# In white matter of the right hemisphere (78 - 48 = 30 mm): 12.2 mL, and two small ones above it.
LARGE, MIDDLE, SMALLEST = ((42, 72, 66), (65, 95, 89)), ((48, 84, 94), (53, 89, 98)), ((48, 104, 74), (51, 107, 77))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("masks")
    save(folder / "a_lesion.nii.gz", sum(block(*b) for b in (LARGE, MIDDLE, SMALLEST)))
    save(folder / "b_lesion.nii.gz", sum(block(*b) for b in (LARGE, SMALLEST)))
    save(folder / "c_lesion.nii.gz", block(*LARGE))
    return MaskFolder.open(folder)


def as_mask(voxels_xyz, affine=ARCHIVE_AFFINE):
    return LesionMask(voxels_xyz.transpose(2, 1, 0).astype(bool), affine)


def test_components_keep_their_volumes(folder):
    planned = components_of(folder.read("a_lesion.nii.gz"))
    assert sorted(p.volume_ml for p in planned) == pytest.approx([0.027, 0.1, 23**3 / 1000])
    assert sorted(p.volume_ml for p in components_of(folder.read("a_lesion.nii.gz"), 1.0)) == pytest.approx(
        [0.027, 0.1]
    )


def test_a_shape_is_the_distance_to_the_mask():
    ball = ((np.indices((41, 41, 41)) - 20) ** 2).sum(0) <= 10**2
    affine = nib.affines.from_matvec(np.diag([-2.0, 1.5, 1.0]), (25, -30, 10))
    (lesion,) = components_of(as_mask(ball, affine))
    assert lesion.centre_mm == pytest.approx([25 - 40, 0, 30])
    offsets = np.array([[0, 0, 0], [0, 0, 5], [0, 0, 10.5], [0, 0, 15], [0, 0, 60], [0, -45, 0], [-60, 0, 0]], float)
    level = lesion.shape.level_mm((lesion.centre_mm + offsets).T.astype(np.float32))
    # The border lies 10.5, 15.5 and 20.5 mm from the centre along z, y and x.
    assert level[1:] - level[2] == pytest.approx([-5.5, 0, 4.5, 49.5, 30, 39.5], abs=1.5)
    assert level[0] == level.min()


def test_no_point_is_farther_from_the_core_than_its_level():
    bent = np.zeros((40, 40, 20), bool)
    bent[5:35, 5:9, 8:12] = bent[5:9, 5:35, 8:12] = True
    (lesion,) = components_of(as_mask(bent))
    points = lesion.centre_mm[:, None] + np.random.default_rng(0).uniform(-70, 70, (3, 4000))
    level = lesion.shape.level_mm(points.astype(np.float32))
    assert (np.linalg.norm(points - lesion.centre_mm[:, None], axis=0) <= level + 0.9).all()


def test_level_sets_give_the_component_back():
    bent = np.zeros((40, 40, 20), bool)
    bent[5:35, 5:9, 8:12] = bent[5:9, 5:35, 8:12] = True
    (lesion,) = components_of(as_mask(bent))
    voxels = np.indices(bent.shape).reshape(3, -1)
    level = lesion.shape.level_mm(nib.affines.apply_affine(ARCHIVE_AFFINE, voxels.T).T.astype(np.float32))
    innermost = np.argsort(level, kind="stable")[: bent.sum()]
    assert bent.ravel()[innermost].all()


def test_lesions_lie_where_the_mask_has_them(folder):
    for mirror_chance, side in ((0, 1), (1, -1)):
        placement = MaskPlacement(mirror_chance=mirror_chance, shift_sd_mm=0, added_chance=0)
        source = MaskLesions(folder, "a_lesion.nii.gz", None, placement)
        case = generate_case(0, 1, *SMALL, lesions=source)
        assert [f.volume_ml for f in case.lesions] == pytest.approx([23**3 / 1000, 0.1, 0.027])
        # The subject is posed and warped: within 12 mm of the place, seen from the middle of its (smaller) head.
        y, x = ((case.dwi > 0).any(0)).nonzero()
        middle = (case.affine @ [x.min() + np.ptp(x) / 2, y.min() + np.ptp(y) / 2, 0, 1])[:2]
        expected = 0.93 * np.array([side * (78 - 53), -112 + 83 - CENTRE_MM[1]])
        assert case.lesions[0].centre_mm[:2] - middle == pytest.approx(expected, abs=12)


@pytest.mark.parametrize("index", [1, 2, 3])
def test_a_lesion_of_one_voxel_is_not_lost(folder, index):
    case = generate_case(1, index, *SMALL, lesions=MaskLesions(folder, "a_lesion.nii.gz", None, AS_IT_IS))
    assert len(case.lesions) == 3
    assert case.mask.sum() * 0.027 == pytest.approx(sum(f.volume_ml for f in case.lesions), rel=0.08)


def test_every_patient_has_its_turn_before_one_comes_again(folder):
    placement = MaskPlacement(added_chance=1)
    for seed in range(5):
        sources = [MaskLesions.of_case(folder, seed, index, placement) for index in range(1, 7)]
        assert {s.patient for s in sources[:3]} == set(folder.names)
        assert [s.patient for s in sources[:3]] == [s.patient for s in sources[3:]]
        assert all(s.added in folder.names and s.added != s.patient for s in sources)
    assert len({MaskLesions.of_case(folder, seed, 1, placement).patient for seed in range(20)}) == 3


def test_how_often_a_second_patient_adds_lesions(folder):
    added = [MaskLesions.of_case(folder, 3, index, MaskPlacement()).added is not None for index in range(600)]
    assert np.mean(added) == pytest.approx(0.40, abs=0.06)


def test_a_single_mask_is_a_series(tmp_path):
    save(tmp_path / "only_lesion.nii", block(*LARGE))
    source = MaskLesions.of_case(MaskFolder.open(tmp_path), 0, 5, MaskPlacement(added_chance=1))
    assert source.names == ("only_lesion.nii",)


def test_only_small_lesions_are_added_and_the_largest_comes_first(folder):
    source = MaskLesions(folder, "c_lesion.nii.gz", "a_lesion.nii.gz", MaskPlacement())
    planned = source.plan(np.random.default_rng(0), None)
    assert [p.volume_ml for p in planned] == pytest.approx([23**3 / 1000, 0.1, 0.027])


def test_sheared_masks_have_the_determinants_volume():
    affine = np.eye(4)
    affine[0, 1] = 0.75  # the second axis leans, which lengthens it
    (lesion,) = components_of(as_mask(np.ones((5, 5, 8), bool), affine))
    assert lesion.volume_ml == pytest.approx(0.2)
