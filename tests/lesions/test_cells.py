"""Cells: every voxel's nearest lesion, against distances to all lesions worked out one by one."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from nnunetv2_sizepenalty.lesions import label_components, lesion_cells, share_lost_cells

THICK = (6.0, 1.0, 1.5)


def distances(mask: np.ndarray, spacing_mm) -> np.ndarray:
    """Of every voxel to each of the lesions, (n, *shape)."""
    labels, n = label_components(mask)
    where = np.argwhere(np.ones_like(labels, bool)) * spacing_mm
    return np.stack(
        [
            cdist(where, np.argwhere(labels == lesion) * spacing_mm).min(1).reshape(labels.shape)
            for lesion in range(1, n + 1)
        ]
    )


@pytest.mark.parametrize("spacing_mm", [None, THICK], ids=["voxels", "mm"])
@pytest.mark.parametrize("shape", [(24, 17), (6, 9, 11)], ids=["2D", "3D"])
def test_no_lesion_is_nearer_than_the_cells_own(shape, spacing_mm):
    spacing_mm = spacing_mm and spacing_mm[-len(shape) :]
    mask = np.random.default_rng(0).random(shape) < 0.02
    assert label_components(mask)[1] > 3
    cells = lesion_cells(mask, spacing_mm)
    assert cells.dtype == np.int32
    of_all = distances(mask, spacing_mm or np.ones(len(shape)))
    own = np.take_along_axis(of_all, cells[None] - 1, 0)[0]
    np.testing.assert_allclose(own, of_all.min(0))
    np.testing.assert_array_equal(cells[mask], label_components(mask)[0][mask])


def test_thick_slices_reach_less_far():
    mask = np.zeros((5, 1, 12))
    mask[0, 0, 0] = mask[4, 0, 10] = 1
    in_voxels, in_mm = lesion_cells(mask), lesion_cells(mask, THICK)
    middle = (4, 0, 2)  # 4 slices below the first, 8 voxels beside the second
    assert in_voxels[middle] == 1
    assert in_mm[middle] == 2


@pytest.mark.parametrize("lesions", [0, 1])
def test_without_a_second_lesion_all_voxels_are_alike(lesions):
    mask = np.zeros((4, 5, 6), bool)
    mask[1, 1:3, 2] = lesions
    assert (lesion_cells(mask) == lesions).all()


def test_cells_of_lost_lesions_go_to_the_nearest_that_is_left():
    cells = np.array([[1, 1, 2, 2, 3, 3, 4, 4]], dtype=np.int32)
    mask = np.array([[True, False, False, False, False, False, True, False]])
    assert share_lost_cells(cells, mask).tolist() == [[1, 1, 1, 1, 4, 4, 4, 4]]
    assert share_lost_cells(cells, np.zeros_like(mask)).tolist() == [[0] * 8]
    whole = np.array([[True, False, True, False, True, False, True, False]])
    assert share_lost_cells(cells, whole) is cells


def test_lost_cells_are_shared_by_the_spacing():
    cells = np.full((5, 5), 3, dtype=np.int32)
    cells[0, 2], cells[2, 0] = 1, 2
    mask = cells < 3
    assert share_lost_cells(cells, mask, (1.0, 10.0))[2, 2] == 1
    assert share_lost_cells(cells, mask, (10.0, 1.0))[2, 2] == 2


@pytest.mark.parametrize("seed", range(5))
def test_shared_cells_are_those_of_the_lesions_that_are_left(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(1, 9, size=(6, 12, 12)).astype(np.int32)
    mask = (rng.random(labels.shape) < 0.02) & (labels < 6)
    shared = share_lost_cells(labels, mask, (2.0, 1.0, 1.0))
    left = np.argwhere(mask)
    for voxel in np.argwhere(~np.isin(labels, labels[mask])):
        distance = (((left - voxel) * (2.0, 1.0, 1.0)) ** 2).sum(1)
        nearest = left[distance == distance.min()]
        assert shared[tuple(voxel)] in labels[tuple(nearest.T)]
    kept = np.isin(labels, labels[mask])
    np.testing.assert_array_equal(shared[kept], labels[kept])
