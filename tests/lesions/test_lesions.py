"""Components and sizes: the connectivity, the filter and the bins."""

import numpy as np
import pytest

from nnunetv2_sizepenalty.lesions import (
    PX,
    SizeBins,
    component_voxels,
    label_components,
    remove_small_components,
    voxels_from_ml,
    voxels_to_ml,
)


def test_edges_connect_and_corners_do_not_in_3d():
    mask = np.zeros((4, 4, 4))
    mask[0, 0, 0] = mask[0, 1, 1] = 1  # share an edge
    mask[1, 2, 2] = 1  # shares a corner with the second
    assert label_components(mask)[1] == 2
    assert label_components(mask, 26)[1] == 1
    assert label_components(mask, 6)[1] == 3


def test_diagonal_neighbours_connect_in_2d():
    assert label_components(np.eye(3))[1] == 1
    assert label_components(np.eye(3), 4)[1] == 3
    assert label_components(np.eye(3)[None])[1] == 1


def test_touching_labels_are_one_lesion():
    assert label_components(np.array([[1, 2, 0, 7]]))[1] == 2


def test_filter_removes_components_below_the_size_and_keeps_those_at_it():
    mask = np.zeros((3, 20), bool)
    mask[1, :4] = mask[1, 6:11] = mask[1, 13:19] = True
    assert sorted(component_voxels(*label_components(mask))) == [4, 5, 6]
    filtered = remove_small_components(mask, 5)
    assert not filtered[1, :4].any()
    assert filtered.sum() == 11


def test_volumes_go_both_ways():
    assert voxels_to_ml(625, (2, 2, 2)) == pytest.approx(5)
    assert voxels_from_ml(voxels_to_ml(17, (0.9, 0.9, 6)), (0.9, 0.9, 6)) == pytest.approx(17)


def test_bins_are_closed_below():
    bins = SizeBins((1, 5))
    assert bins.names == ("< 1 mL", "1-5 mL", ">= 5 mL")
    assert bins.index(np.array([0.999, 1, 4.999, 5])).tolist() == [0, 1, 1, 2]
    assert SizeBins((10, 100), PX).names == ("< 10 px", "10-100 px", ">= 100 px")


@pytest.mark.parametrize("edges", [(), (5, 1), (0, 1), (1, 1)])
def test_edges_that_make_no_bins_are_refused(edges):
    with pytest.raises(ValueError, match="increasing"):
        SizeBins(edges)
