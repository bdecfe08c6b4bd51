"""Cells: every voxel's nearest lesion, against distances to all lesions worked out one by one."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from nnunetv2_sizepenalty.lesions import label_components, lesion_cells

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
