"""The rules, and hand-computed cases of the challenges'; docs/protocols.md has the comparison with their own code."""

import math

import numpy as np
import pytest

from nnunetv2_sizepenalty.evaluation.case import score_case
from nnunetv2_sizepenalty.evaluation.protocols import PROTOCOLS, Protocol, Rule

SPACING = (10.0, 10.0, 10.0)  # 1 mL a voxel


@pytest.mark.parametrize(
    ("text", "rule", "shown"),
    [
        ("overlap", Rule(), "any overlap"),
        ("iou:0.5", Rule("iou", 0.5), "IoU >= 0.5"),
        ("dice:0.1", Rule("dice", 0.1), "Dice >= 0.1"),
        ("matched", Rule("matched"), "one-to-one match"),
    ],
)
def test_rules_are_read_and_shown(text, rule, shown):
    assert Rule.parse(text) == rule
    assert str(rule) == shown


@pytest.mark.parametrize("text", ["", "iou", "iou:0", "iou:1.1", "iou:x", "overlap:0.5", "volume:0.5", "iou:nan"])
def test_no_rules(text):
    with pytest.raises(ValueError, match="is no rule"):
        Rule.parse(text)


@pytest.mark.parametrize(
    "fields",
    [{"matching": Rule()}, {"matching": Rule("matched")}, {"connectivity": 7}, {"min_mm3": -1}, {"nsd_mm": -1}],
)
def test_impossible_protocols(fields):
    with pytest.raises(ValueError):
        Protocol(**fields)


def test_captions_name_every_rule():
    assert PROTOCOLS["thesis"].description == (
        "thesis: 18 (2D: 8)-connectivity, predictions under 5 voxels removed, detected: any overlap, "
        "matched: IoU >= 0.5, NSD within 1 mm"
    )
    mine = Protocol("mine", 6, 2, 30, True, Rule("iou", 0.1), Rule("dice", 0.3), 2)
    assert mine.description == (
        "mine: 6-connectivity, lesions under 2 voxels or 30 mm^3 removed, detected: IoU >= 0.1, matched: Dice >= 0.3, "
        "NSD within 2 mm"
    )
    assert "dilated 1 x" in PROTOCOLS["brats-mets"].description
    assert "Dice 0 where nothing is matched" in PROTOCOLS["isles26"].description


def corner_pair():
    """Reference: two voxels that touch by a corner. Prediction: one of them, a voxel beside it, and one far away."""
    reference, prediction = np.zeros((4, 5, 9), dtype=bool), np.zeros((4, 5, 9), dtype=bool)
    reference[1, 1, 1] = reference[2, 2, 2] = True
    prediction[1, 1, 1] = prediction[1, 1, 2] = prediction[3, 4, 8] = True
    return reference, prediction


def test_thesis_filters_predictions_before_everything():
    scores = score_case(*corner_pair(), SPACING, PROTOCOLS["thesis"]).metrics
    assert (scores["n_reference"], scores["n_prediction"], scores["dice"], scores["rve"]) == (2, 0, 0, 1)
    assert math.isnan(score_case(*[np.zeros((3, 3, 3))] * 2, SPACING, PROTOCOLS["thesis"]).metrics["dice"])


def test_isles22():
    scores = score_case(*corner_pair(), SPACING, PROTOCOLS["isles22"]).metrics
    # 26-connectivity: one reference lesion of two voxels, found; two predicted, one of them a false positive.
    assert (scores["n_reference"], scores["n_prediction"], scores["lesion_count_error"]) == (1, 2, 1)
    assert scores["lesion_f1"] == pytest.approx(2 / 3)  # 1 / (1 + 1 / 2)
    assert scores["dice"] == pytest.approx(2 / 5)
    assert scores["absolute_volume_error_ml"] == pytest.approx(1)
    empty = score_case(*[np.zeros((3, 3, 3))] * 2, SPACING, PROTOCOLS["isles22"]).metrics
    assert (empty["dice"], empty["lesion_f1"], empty["lesion_count_error"]) == (1, 1, 0)


def test_isles26():
    scores = score_case(*corner_pair(), SPACING, PROTOCOLS["isles26"]).metrics
    # The found lesion has IoU 1 / 3 with its prediction: matched at 0.25, one to one.
    assert (scores["tp"], scores["fp"], scores["fn"]) == (1, 1, 0)
    assert scores["lesion_f1"] == scores["rq"] == pytest.approx(2 / 3)
    assert scores["dice"] == pytest.approx(2 / 5)
    reference, prediction = np.zeros((3, 3, 12), dtype=bool), np.zeros((3, 3, 12), dtype=bool)
    reference[1, 1, 1:9] = True
    prediction[1, 1, 8:11] = True  # IoU 1 / 10
    unmatched = score_case(reference, prediction, SPACING, PROTOCOLS["isles26"]).metrics
    assert (unmatched["dice"], unmatched["lesion_f1"], unmatched["iou"]) == (0, 0, 1 / 10)
    assert (unmatched["missed"], unmatched["false_positives"]) == (1, 1)
    empty = score_case(*[np.zeros((3, 3, 3))] * 2, SPACING, PROTOCOLS["isles26"]).metrics
    assert (empty["dice"], empty["lesion_f1"]) == (1, 1)
