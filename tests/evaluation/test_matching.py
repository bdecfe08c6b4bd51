import numpy as np
import pytest

from nnunetv2_sizepenalty.evaluation.detection import Detector
from nnunetv2_sizepenalty.evaluation.instances import find_instances
from nnunetv2_sizepenalty.evaluation.matching import detect, find_overlaps, match_one_to_one
from nnunetv2_sizepenalty.evaluation.pairing import pair_lesions
from nnunetv2_sizepenalty.evaluation.protocols import Protocol, Rule


def overlaps_of(reference, prediction):
    reference, prediction = np.array(reference), np.array(prediction)
    sizes = [np.bincount(labels, minlength=labels.max() + 1)[1:] for labels in (reference, prediction)]
    return find_overlaps(reference, prediction, *sizes)


def test_overlaps_count_common_voxels():
    overlaps = overlaps_of([1, 1, 2, 2, 0, 3], [1, 1, 1, 0, 2, 0])
    assert list(zip(overlaps.reference, overlaps.prediction, overlaps.voxels, strict=True)) == [(1, 1, 2), (2, 1, 1)]
    assert overlaps.iou.tolist() == [2 / 3, 1 / 4]
    assert overlaps.dice.tolist() == [4 / 5, 2 / 5]


def test_greedy_matching_takes_the_best_pair_first():
    # Prediction 2 has IoU 3/4 with reference 1 and prediction 1 has 1/5 with it and 1/2 with reference 2.
    overlaps = overlaps_of([1, 1, 1, 1, 2, 2], [1, 2, 2, 2, 1, 0])
    match = match_one_to_one(overlaps, Rule("iou", 0.1))
    assert list(zip(match.reference, match.prediction, strict=True)) == [(1, 2), (2, 1)]
    assert match.iou.tolist() == [3 / 4, 1 / 3]


def test_equal_scores_go_by_the_prediction_then_the_reference():
    # Two halves of one lesion: IoU 1/2 each.
    match = match_one_to_one(overlaps_of([1, 1, 1, 1], [2, 2, 1, 1]), Rule("iou", 0.5))
    assert match.prediction.tolist() == [1]
    # One prediction over two lesions of its own size each: IoU 1/2 with both.
    match = match_one_to_one(overlaps_of([2, 2, 1, 1], [1, 1, 1, 1]), Rule("iou", 0.5))
    assert match.reference.tolist() == [1]


@pytest.mark.parametrize(
    ("rule", "detected", "false_positive"),
    [
        (Rule(), [True, True, False], [False, False, True]),
        (Rule("iou", 0.3), [True, False, False], [False, True, True]),
        (Rule("dice", 0.34), [True, False, False], [False, True, True]),
        (Rule("dice", 0.33), [True, True, False], [False, False, True]),
        (Rule("matched"), [True, False, False], [False, True, True]),
    ],
)
def test_detection_rules(rule, detected, false_positive):
    # Lesion 1 against prediction 1: IoU 2/4; lesion 2 (5 voxels) against prediction 2 (1 voxel): IoU 1/5, Dice 1/3.
    overlaps = overlaps_of([1, 1, 1, 2, 2, 2, 2, 2, 0, 0, 3], [1, 1, 0, 2, 0, 0, 0, 0, 1, 3, 0])
    found = detect(overlaps, rule, match_one_to_one(overlaps, Rule("iou", 0.5)))
    assert found.detected.tolist() == detected
    assert found.false_positive.tolist() == false_positive


def test_dilation_merges_lesions_and_widens_their_reach():
    reference, prediction = np.zeros((5, 5, 12), dtype=bool), np.zeros((5, 5, 12), dtype=bool)
    reference[2, 2, 1], reference[2, 2, 3], reference[2, 2, 8] = True, True, True
    prediction[2, 2, 9] = True  # beside the third lesion

    def paired(protocol):
        instances = [
            find_instances(mask, (1, 1, 1), protocol, is_reference=first)
            for mask, first in ((reference, True), (prediction, False))
        ]
        return pair_lesions(*instances, protocol, Detector(instances[0], protocol.detection, (1, 1, 1)))

    plain, dilated = paired(Protocol()), paired(Protocol(dilation=1))
    assert plain.reference.voxels.tolist() == [1, 1, 1]
    assert not plain.detection.detected.any()
    assert plain.detection.false_positive.tolist() == [True]
    assert dilated.reference.voxels.tolist() == [2, 1]
    assert dilated.detection.detected.tolist() == [False, True]
    assert dilated.detection.false_positive.tolist() == [False]
    assert len(dilated.overlaps.voxels) == 0


@pytest.mark.parametrize(
    ("protocol", "left"),
    [
        (Protocol(), [4, 2, 1]),
        (Protocol(min_voxels=2), [4, 2]),
        (Protocol(min_mm3=18), [4]),  # a voxel is 6 mm^3
        (Protocol(min_voxels=5), []),
    ],
)
def test_small_predicted_lesions_are_removed(protocol, left):
    mask = np.zeros((3, 3, 12), dtype=bool)
    mask[1, 1, 1:5] = mask[1, 1, 6:8] = mask[1, 1, 9] = True
    pred = find_instances(mask, (1, 2, 3), protocol, is_reference=False)
    assert pred.voxels.tolist() == left
    assert np.count_nonzero(pred.labels) == len(pred.index) == sum(left)
    assert sorted(set(pred.lesion.tolist())) == list(range(1, len(left) + 1))
    assert find_instances(mask, (1, 2, 3), protocol, is_reference=True).voxels.tolist() == [4, 2, 1]
    both = Protocol(min_voxels=protocol.min_voxels, min_mm3=protocol.min_mm3, filter_reference=True)
    assert find_instances(mask, (1, 2, 3), both, is_reference=True).voxels.tolist() == left
