"""Counts and scores of a grid against the evaluation's own, and against masks filtered one by one."""

import numpy as np
import pytest
from scipy import ndimage

from nnunetv2_sizepenalty.evaluation.case import score_case
from nnunetv2_sizepenalty.evaluation.protocols import Protocol, Rule
from nnunetv2_sizepenalty.operating_point.count_case import count_case
from nnunetv2_sizepenalty.operating_point.grid import ThresholdGrid
from nnunetv2_sizepenalty.operating_point.scores import PER_CASE, Scores, case_scores

GRID = ThresholdGrid((0.1, 0.5, 0.9), (5, 20))
SPACING_MM = (6.0, 2.0, 2.0)
OVERLAP = Rule("overlap")


@pytest.mark.parametrize("case", ["case_00", "case_07", "case_19"])
def test_scores_are_those_of_the_evaluation(phantom_predictions, case):
    mask, probability = phantom_predictions[case]
    scores = case_scores(count_case(probability, mask, GRID, SPACING_MM, detection=OVERLAP))
    names = [name for name in PER_CASE if name != "size_penalty"]
    for row, threshold in enumerate(GRID.counted_thresholds):
        for column, size in enumerate(GRID.counted_sizes):
            expected = score_case(mask, probability > threshold, SPACING_MM, Protocol(min_voxels=size)).metrics
            found = {name: scores[name][row, column] for name in names}
            assert found == pytest.approx({name: expected[name] for name in names}, abs=1e-12, nan_ok=True)


def test_a_map_of_zeros_predicts_nothing():
    mask = np.zeros((4, 5, 6), bool)
    mask[1, 1, 1:4] = True
    counts = count_case(np.zeros(mask.shape, np.float32), mask, GRID, SPACING_MM)
    scores = case_scores(counts)
    assert not counts.prediction.any()
    assert (scores["dice"] == 0).all()
    assert (scores["rve"] == 1).all()
    assert (scores["pq"] == 0).all()


def test_voxels_of_unknown_reference_count_for_the_size_alone():
    probability = np.zeros((1, 4, 12), np.float32)
    probability[0, 0, :6] = 0.8  # six voxels, four of them ignored
    probability[0, 3, 8:] = 0.8  # four voxels, all ignored
    reference, valid = np.zeros(probability.shape, bool), np.ones(probability.shape, bool)
    reference[0, 0, 4:7] = True
    valid[0, 0, :4] = valid[0, 3] = False
    counts = count_case(probability, reference, ThresholdGrid((0.5,), (5,)), SPACING_MM, valid)
    for column in (0, 1):  # without a filter and with it
        assert counts.prediction[0, column] == 2
        assert counts.true_positive[0, column] == 2
        assert counts.n_prediction[0, column] == 1
        assert counts.false_positives[0, column] == 0


def test_pooled_scores_by_brute_force(phantom_predictions):
    cases = list(phantom_predictions.values())
    scores = Scores.of([count_case(p, mask, GRID, SPACING_MM, detection=OVERLAP) for mask, p in cases], GRID)
    neighbours = ndimage.generate_binary_structure(3, 2)
    for row, threshold in enumerate(GRID.counted_thresholds):
        overlap = total = detected = lesions = false_positives = 0
        for mask, probability in cases:
            prediction = probability > threshold
            overlap += 2 * (prediction & mask).sum()
            total += prediction.sum() + mask.sum()
            reference_labels, n_reference = ndimage.label(mask, neighbours)
            prediction_labels, n_prediction = ndimage.label(prediction, neighbours)
            detected += len(set(reference_labels[prediction & mask].tolist()))
            lesions += n_reference
            false_positives += n_prediction - len(set(prediction_labels[prediction & mask].tolist()))
        assert scores.values["pooled_dice"][row, 0] == pytest.approx(overlap / total, abs=1e-12)
        assert scores.values["sensitivity"][row, 0] == pytest.approx(detected / lesions, abs=1e-12)
        assert scores.values["false_positives_per_case"][row, 0] == pytest.approx(false_positives / 20, abs=1e-12)
    assert scores.defined["rve"].max() == 19
