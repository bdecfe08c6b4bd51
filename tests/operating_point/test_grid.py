"""The grid: thesis's preset, dense grid, what is searched."""

import numpy as np
import pytest

from nnunetv2_sizepenalty.nnunet_io.thresholds import above, dense_thresholds, logit
from nnunetv2_sizepenalty.operating_point.grid import ThresholdGrid


def test_the_default_is_the_thesis_preset():
    grid = ThresholdGrid()
    assert grid.thresholds == (0.3, 0.4, 0.5, 0.6, 0.7)
    assert (grid.sizes, grid.unit, grid.connectivity) == ((5.0,), "voxels", 18)


def test_the_dense_grid_is_even_in_the_logit_and_holds_half():
    thresholds = dense_thresholds()
    steps = np.diff(logit(np.array(thresholds)))
    assert thresholds[0] == pytest.approx(1e-5)
    assert thresholds[-1] == pytest.approx(1 - 1e-5)
    assert 0.5 in thresholds
    assert steps == pytest.approx(np.full(len(steps), steps.mean()), rel=1e-6)
    assert steps.max() <= 0.26


@pytest.mark.parametrize(
    ("thresholds", "sizes", "chosen_from"),
    [
        ((0.3,), (5,), [(0.3, 5)]),
        ((0.3, 0.7), (5,), [(0.3, 5), (0.5, 5), (0.7, 5)]),
        ((0.3,), (5, 20), [(0.3, 0), (0.3, 5), (0.3, 20)]),
        ((0.5,), (0,), [(0.5, 0)]),
    ],
    ids=["one of each is not searched", "0.5 joins several thresholds", "none joins several sizes", "nnU-Net's own"],
)
def test_what_may_be_chosen(thresholds, sizes, chosen_from):
    grid = ThresholdGrid(thresholds, sizes)
    found = [(grid.counted_thresholds[row], grid.counted_sizes[column]) for row, column in np.argwhere(grid.searched)]
    assert found == chosen_from


def test_half_and_no_filter_are_always_counted():
    grid = ThresholdGrid((0.9,), (7,))
    assert grid.counted_thresholds == (0.5, 0.9)
    assert grid.counted_sizes == (0.0, 7.0)


def test_cubic_millimetres_become_voxels_of_the_case():
    assert ThresholdGrid(sizes=(30,), unit="mm3").sizes_in_voxels((3, 2, 1)).tolist() == [0, 5]


@pytest.mark.parametrize(
    "wrong",
    [{"thresholds": (0.0,)}, {"thresholds": (1.0,)}, {"thresholds": ()}, {"sizes": (-1,)}, {"unit": "ml"}],
    ids=str,
)
def test_senseless_candidates_are_refused(wrong):
    with pytest.raises(ValueError, match=r"thresholds|smallest|sizes"):
        ThresholdGrid(**wrong)


def test_a_probability_at_the_threshold_is_not_above_it():
    probability = np.array([0.3, 0.5, 0.7], np.float32)
    for threshold, value in zip((0.3, 0.5, 0.7), probability, strict=True):
        assert above(probability, threshold).tolist() == (probability > value).tolist()
