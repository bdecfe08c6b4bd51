"""BraTS's lesion-wise scores by hand."""

import math

import numpy as np
import pytest

from nnunetv2_sizepenalty.evaluation.case import score_case
from nnunetv2_sizepenalty.evaluation.lesionwise import _areas, surfel_hd95
from nnunetv2_sizepenalty.evaluation.protocols import PROTOCOLS

SPACING = (1.0, 1.0, 1.0)


def test_lesions_false_positives_and_the_smallest_size():
    reference, prediction = np.zeros((7, 7, 40), dtype=bool), np.zeros((7, 7, 40), dtype=bool)
    reference[3, 3, 2:6] = prediction[3, 3, 2:6] = True  # A: 4 mm^3, found exactly
    reference[3, 3, 12:16] = True  # B: 4 mm^3, missed
    reference[3, 3, 22:24] = prediction[3, 3, 22] = True  # C: 2 mm^3, not above 2 mm^3, found
    prediction[3, 3, 32] = True  # a false positive
    scores = score_case(reference, prediction, SPACING, PROTOCOLS["brats-mets"]).metrics
    assert (scores["lesionwise_tp"], scores["lesionwise_fp"], scores["lesionwise_fn"]) == (1, 1, 1)
    # A and B and the false positive: Dice 1, 0, 0; HD95 0, 374, 374.
    assert scores["lesionwise_dice"] == pytest.approx(1 / 3)
    assert scores["lesionwise_hd95"] == pytest.approx(2 * 374 / 3)
    # The counts of the other columns know no smallest size: C is a reference lesion too.
    assert (scores["n_reference"], scores["missed"], scores["false_positives"]) == (3, 1, 1)


def test_all_predictions_that_touch_the_dilated_lesion_count_for_it():
    reference, prediction = np.zeros((7, 7, 20), dtype=bool), np.zeros((7, 7, 20), dtype=bool)
    reference[3, 3, 5:9] = True  # 4 voxels
    prediction[3, 3, 5:7] = True  # 2 of them
    prediction[3, 3, 9:12] = True  # 3 beside it: reach into its dilation
    scores = score_case(reference, prediction, SPACING, PROTOCOLS["brats-mets"]).metrics
    assert scores["lesionwise_dice"] == pytest.approx(2 * 2 / (4 + 5))
    assert scores["lesionwise_fp"] == 0


def test_empty_masks():
    nothing, one = np.zeros((5, 5, 5), dtype=bool), np.zeros((5, 5, 5), dtype=bool)
    one[2, 2, 1:4] = True
    both = score_case(nothing, nothing, SPACING, PROTOCOLS["brats-mets"]).metrics
    assert (both["lesionwise_dice"], both["lesionwise_hd95"], both["dice"], both["surfel_hd95"]) == (1, 0, 1, 0)
    missed = score_case(one, nothing, SPACING, PROTOCOLS["brats-mets"]).metrics
    assert (missed["lesionwise_dice"], missed["lesionwise_hd95"], missed["surfel_hd95"]) == (0, 374, 374)


def test_surface_elements_sit_on_corners_and_are_weighted_by_area():
    # Two cubes of 2 x 2 x 2 voxels, one shifted by 3 mm along x: every corner point on the near side has its own
    # distance; the far side's corners are 3 mm from the other surface's far side.
    a, b = np.zeros((8, 8, 12), dtype=bool), np.zeros((8, 8, 12), dtype=bool)
    a[3:5, 3:5, 2:4] = b[3:5, 3:5, 5:7] = True
    assert surfel_hd95(a, b, SPACING) == pytest.approx(3)
    assert surfel_hd95(a, b, (1.0, 1.0, 2.0)) == pytest.approx(6)
    # Without one corner voxel a single corner point of 27 is missing, and it carries far less than 5 % of the area.
    c = a.copy()
    c[3, 3, 2] = False
    assert surfel_hd95(a, c, SPACING) == 0
    assert surfel_hd95(a, a, SPACING) == 0


@pytest.mark.parametrize(
    ("code", "spacing", "area"),
    [
        # One voxel of eight: the triangle between the middles of three edges.
        (0b10000000, (1, 1, 1), math.sqrt(3) / 8),
        (0b10000000, (2, 3, 4), math.sqrt(6**2 + 8**2 + 12**2) / 8),
        # All but one: the same triangle.
        (0b01111111, (2, 3, 4), math.sqrt(6**2 + 8**2 + 12**2) / 8),
        # The four of the first plane along z: a face across y and x; two along z: the edge cut off.
        (0b11110000, (2, 3, 4), 12),
        (0b10001000, (1, 1, 1), math.sqrt(2) / 2),
        (0, (1, 1, 1), 0),
        (0b11111111, (1, 1, 1), 0),
    ],
)
def test_area_of_a_surface_element(code, spacing, area):
    assert _areas(spacing)[code] == pytest.approx(area, abs=1e-12)
