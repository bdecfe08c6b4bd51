"""A metric that a model leaves undefined is not compared on the cases that it survives alone."""

import math

import numpy as np
import pytest

from nnunetv2_sizepenalty.comparison.undefined import read_values

NAN = math.nan
NONE_EMPTY = np.zeros(4, bool)


@pytest.mark.parametrize(("better", "worst"), [(-1, 9.0), (+1, 1.0)])
def test_the_worst_value_of_either_model(better, worst):
    read = read_values(np.array([[1.0, 2, 3, NAN]]), np.array([[2.0, NAN, 9, NAN]]), NONE_EMPTY, better)
    assert (read.baseline_undefined, read.model_undefined, read.left_out) == (1, 2, 0)
    np.testing.assert_array_equal(read.known[1], [[2, NAN, 9, NAN]])
    assert read.filled[0].tolist() == [[1, 2, 3, worst]]
    assert read.filled[1].tolist() == [[2, worst, 9, worst]]


def test_an_empty_reference_is_left_out_for_both():
    empty = np.array([True, True, False, False])
    # the first model marks nothing there (undefined), the second something (0)
    read = read_values(np.array([[NAN, 0.0, 0.5, 0.6]]), np.array([[0.0, 0.0, 0.4, 0.7]]), empty, +1)
    assert (read.left_out, read.baseline_undefined, read.model_undefined, read.filled) == (1, 0, 0, None)
    np.testing.assert_array_equal(read.known[1], [[NAN, 0.0, 0.4, 0.7]])


def test_a_repeat_that_fails_is_not_averaged_away():
    read = read_values(np.array([[1.0], [NAN]]), np.array([[3.0], [4.0]]), np.zeros(1, bool), -1)
    assert read.baseline_undefined == 1
    assert read.filled[0].tolist() == [[1.0], [4.0]]


def test_nothing_is_known_where_all_are_undefined():
    read = read_values(np.full((1, 2), NAN), np.full((1, 2), NAN), np.zeros(2, bool), -1)
    assert np.isnan(read.filled[0]).all()
