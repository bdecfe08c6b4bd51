"""The sweep over thresholds against cutting the whole array at each."""

import numpy as np
import pytest

from nnunetv2_sizepenalty.curves.sweep import sweep


@pytest.mark.parametrize("shape", [(12, 9), (6, 8, 7)])
def test_masks_in_their_boxes(shape):
    probability = np.random.default_rng(0).random(shape) ** 6
    thresholds = (0.1, 0.5, 0.9, 0.999999)
    found = list(sweep(probability, thresholds))
    assert [threshold for threshold, *_ in found] == list(thresholds)
    for threshold, mask, box in found:
        whole = np.zeros(shape, dtype=bool)
        whole[box] = mask
        np.testing.assert_array_equal(whole, probability > threshold)
    assert found[-1][1].size == 0, "an empty mask has an empty box"


def test_nothing_above_the_first_threshold():
    assert [mask.size for _, mask, _ in sweep(np.zeros((3, 3)), (0.2, 0.4))] == [0, 0]


def test_thresholds_that_do_not_increase():
    with pytest.raises(ValueError, match="increase"):
        list(sweep(np.zeros((3, 3)), (0.4, 0.2)))
