"""The formulas on numbers and on arrays, and where they are undefined."""

import math
import subprocess
import sys

import numpy as np
import pytest

from nnunetv2_sizepenalty.evaluation import formulas

COUNTS = {
    formulas.dice: ((2, 3, 5), 0.5),
    formulas.iou: ((2, 3, 5), 1 / 3),
    formulas.relative_volume_error: ((6, 4), 0.5),
    formulas.sensitivity: ((1, 4), 0.25),
    formulas.precision: ((4, 3), 0.25),
    formulas.lesion_f1: ((2, 1, 3), 0.5),
    formulas.recognition_quality: ((2, 1, 3), 0.5),
    formulas.segmentation_quality: ((1.5, 2), 0.75),
    formulas.panoptic_quality: ((1.5, 2, 1, 3), 0.375),
}
by_name = pytest.mark.parametrize("formula", COUNTS, ids=lambda formula: formula.__name__)


@by_name
def test_a_number_and_an_array_of_numbers(formula):
    counts, expected = COUNTS[formula]
    value = formula(*counts).value
    assert type(value) is float
    assert value == pytest.approx(expected)
    arrays = formula(*(np.array([[count, 2 * count, 0]]) for count in counts)).value
    assert (arrays.shape, arrays.dtype) == ((1, 3), np.float64)
    np.testing.assert_array_equal(arrays, [[value, value, math.nan]])


@by_name
def test_nothing_is_undefined(formula):
    assert math.isnan(formula(*[0] * len(COUNTS[formula][0])).value)


def test_zero_dimensional_counts_beside_an_array():
    assert formulas.dice(np.array([1, 2]), np.array([2, 2]), np.asarray(2)).value.tolist() == [0.5, 1.0]


def test_they_are_light():
    heavy = {"torch", "pandas", "scipy"}
    code = f"import sys, nnunetv2_sizepenalty.evaluation.formulas; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
