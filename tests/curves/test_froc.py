"""FROC, average precision and matched false positives, on maps whose every number is worked out by hand."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from nnunetv2_sizepenalty.curves.froc import Froc, cases_at, read_froc, threshold_at, write_froc
from nnunetv2_sizepenalty.curves.froc_case import FrocRules, score_curve
from nnunetv2_sizepenalty.curves.froc_curve import (
    CURVE_COLUMNS,
    highest_sensitivity,
    lesion_average_precision,
    lowest_threshold,
    make_curves,
)
from nnunetv2_sizepenalty.curves.froc_folder import evaluate_probabilities
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation.case import score_case
from nnunetv2_sizepenalty.evaluation.protocols import Protocol
from nnunetv2_sizepenalty.lesions import SizeBins

SPACING = (10.0, 10.0, 10.0)  # a voxel is 1 mL


def example() -> tuple[np.ndarray, np.ndarray]:
    """Reference lesions A (1 mL, found at 0.9), B (6 mL, one voxel at 0.6), C (1 mL, never above 0.1), and outside
    them a candidate of 2 voxels at 0.7 and one of 1 voxel at 0.3."""
    reference, probability = np.zeros((3, 9, 12), dtype=bool), np.zeros((3, 9, 12), dtype=np.float32)
    reference[1, 1, 1] = True
    probability[1, 1, 1] = 0.9
    reference[1, 4, 1:7] = True
    probability[1, 4, 2] = 0.6
    reference[1, 7, 1] = True
    probability[1, 7, 1] = 0.1
    probability[1, 1, 9:11] = 0.7
    probability[1, 7, 9] = 0.3
    return reference, probability


def test_counts_at_every_threshold():
    reference, probability = example()
    rules = FrocRules(Protocol(), SizeBins(), thresholds=(0.05, 0.2, 0.5, 0.65, 0.8, 0.95))
    curve = score_curve(probability, reference, SPACING, rules, None)
    # strata: all, < 1 mL, 1-5 mL, < 5 mL, >= 5 mL; A and C are in [1, 5) mL, B in [5, inf).
    assert curve.lesions.tolist() == [3, 0, 2, 2, 1]
    assert curve.detected.tolist() == [
        [3, 0, 2, 2, 1],  # above 0.05: A, B, C
        [2, 0, 1, 1, 1],  # above 0.2: A and B
        [2, 0, 1, 1, 1],
        [1, 0, 1, 1, 0],  # above 0.65: A alone
        [1, 0, 1, 1, 0],
        [0, 0, 0, 0, 0],
    ]
    # The candidates outside, of 2 mL and of 1 mL.
    assert curve.false_positives[:, 0].tolist() == [2, 2, 1, 1, 0, 0]
    assert [row["n_prediction"] for row in curve.rows] == [5, 4, 3, 2, 1, 0]
    # Volumes: 8 mL of lesion; above 0.5 there are 2 voxels inside and 2 outside: Dice 2 * 2 / (8 + 4).
    assert curve.rows[2]["dice"] == pytest.approx(4 / 12)
    assert curve.rows[2]["volume_error_ml"] == pytest.approx(-4)


def test_a_row_equals_the_evaluation_of_the_cut_mask():
    rng = np.random.default_rng(0)
    reference = rng.random((10, 20, 20)) > 0.97
    probability = np.clip(reference * 0.5 + rng.random(reference.shape) * 0.5, 0, 1).astype(np.float32)
    rules = FrocRules(Protocol("mine", min_voxels=2), SizeBins(), thresholds=(0.4, 0.5, 0.8))
    curve = score_curve(probability, reference, (3, 1, 1), rules, None)
    for threshold, row in zip(rules.thresholds, curve.rows, strict=True):
        whole = score_case(reference, probability > threshold, (3, 1, 1), rules.protocol).metrics
        assert row == {name: pytest.approx(whole[name], nan_ok=True) for name in row}


def test_ignored_voxels_count_for_nothing():
    reference, probability = example()
    valid = np.ones(reference.shape, dtype=bool)
    valid[:, :, 8:] = False  # where the false positives are
    rules = FrocRules(Protocol(), SizeBins(), thresholds=(0.05, 0.5))
    curve = score_curve(probability, reference, SPACING, rules, valid)
    assert curve.false_positives.sum() == 0
    assert curve.detected[:, 0].tolist() == [3, 2]
    # Beside two lesion voxels below 0.5 (C and most of B) only voxels at 0 remain: precision 1 down to 3 of 8 voxels.
    assert curve.pr_auc > 0.5


def test_a_case_without_a_lesion():
    rules = FrocRules(Protocol(), SizeBins(), thresholds=(0.5,))
    _, probability = example()
    curve = score_curve(probability, np.zeros(probability.shape, dtype=bool), SPACING, rules, None)
    assert curve.lesions.sum() == 0
    assert curve.false_positives[0, 0] == 3
    assert math.isnan(curve.pr_auc)
    empty = score_curve(np.zeros_like(probability), np.zeros(probability.shape, dtype=bool), SPACING, rules, None)
    assert empty.rows[0]["n_prediction"] == 0


def curves_of(false_positives, detected, lesions=4, cases=2):
    thresholds = np.linspace(0.1, 0.9, len(detected))
    columns = [np.array(values)[:, None] for values in (detected, false_positives)]
    return make_curves("a", thresholds, ["all"], np.array([lesions]), *columns, cases)


def test_lesion_average_precision_by_hand():
    # Thresholds 0.1, 0.5, 0.9: sensitivity 1, 0.5, 0.25 of 4 lesions; precision 4/5, 2/4 (4/5 at more), 1/1.
    curve = curves_of(false_positives=[1, 2, 0], detected=[4, 2, 1])
    assert curve["precision"].tolist() == [0.8, 0.5, 1]
    assert lesion_average_precision(curve) == pytest.approx(0.25 * 1 + 0.25 * 0.8 + 0.5 * 0.8)
    assert math.isnan(lesion_average_precision(curves_of([1], [0], lesions=0)))


def test_threshold_at_a_rate_of_false_positives():
    # Per case (two cases): 3, 0.5, 1, 0.5, 0: not falling everywhere.
    froc = Froc(curves_of([6, 1, 2, 1, 0], [4, 3, 2, 1, 0]), None, None, {})
    assert threshold_at(froc, "a", 5) == pytest.approx(0.1)
    assert threshold_at(froc, "a", 1) == pytest.approx(0.3)
    # 0.3 has 0.5, but 0.5 above it has 1 again.
    assert threshold_at(froc, "a", 0.5) == pytest.approx(0.7)
    assert threshold_at(froc, "a", 0.2) == pytest.approx(0.9)
    never = Froc(curves_of([6, 4], [4, 3]), None, None, {})
    assert math.isnan(threshold_at(never, "a", 1))


def test_beyond_the_highest_sensitivity_nothing_is_chosen():
    """At 0.1 components have grown together: fewer lesions, and one false positive."""
    curve = curves_of([1, 8, 3, 2, 0], [1, 4, 4, 2, 0])
    assert highest_sensitivity(curve) == pytest.approx(0.3)
    assert lowest_threshold(curve, 4) == pytest.approx(0.3)
    assert lowest_threshold(curve, 1.5) == pytest.approx(0.5)
    # Lowest threshold with at most 1 everywhere above, were it not for the lesions lost there.
    assert lowest_threshold(curves_of([1, 1, 0], [1, 2, 2]), 1) == pytest.approx(0.5)
    assert highest_sensitivity(curves_of([1, 0], [0, 0], lesions=0)) == pytest.approx(0.1)


@pytest.fixture
def folders(tmp_path):
    """Two cases of two classes, as nnU-Net saves them: softmax over background, `small` and `large`."""
    rng = np.random.default_rng(3)
    for name in ("ref", "prob"):
        (tmp_path / name).mkdir()
    for case in ("one", "two"):
        labels = rng.integers(0, 3, (6, 12, 12)) * (rng.random((6, 12, 12)) > 0.9)
        logits = rng.normal(size=(3, *labels.shape)) + 3 * (np.arange(3)[:, None, None, None] == labels)
        softmax = np.exp(logits) / np.exp(logits).sum(axis=0)
        image = sitk.GetImageFromArray(labels.astype(np.uint8))
        image.SetSpacing((5.0, 6.0, 7.0))
        sitk.WriteImage(image, tmp_path / "ref" / f"{case}.nii.gz")
        np.savez_compressed(tmp_path / "prob" / f"{case}.npz", probabilities=softmax.astype(np.float32))
    dataset = {"labels": {"background": 0, "small": 1, "large": 2}, "file_ending": ".nii.gz"}
    (tmp_path / "prob" / "dataset.json").write_text(json.dumps(dataset))
    return tmp_path


def test_a_folder_of_probabilities(folders):
    froc = evaluate_probabilities(folders / "ref", folders / "prob")
    assert set(froc.summary.labels) == {"small", "large"}
    assert len(froc.points) == 2 * 2 * 93
    assert tuple(froc.curves.columns) == CURVE_COLUMNS
    at_half = cases_at(froc.points, "large", 0.5)
    assert at_half["case"].tolist() == ["one", "two"]
    with np.load(folders / "prob" / "one.npz") as file:
        cut = file["probabilities"][2] > 0.5
    reference = sitk.GetArrayFromImage(sitk.ReadImage(folders / "ref" / "one.nii.gz")) == 2
    expected = score_case(reference, cut, (7.0, 6.0, 5.0), Protocol()).metrics
    assert at_half.loc[0, "dice"] == pytest.approx(expected["dice"])
    assert at_half.loc[0, "false_positives"] == expected["false_positives"]
    voxels = froc.voxels[(froc.voxels["case"] == "one") & (froc.voxels["label"] == "large")].iloc[0]
    with np.load(folders / "prob" / "one.npz") as file:
        assert voxels["soft_to_hard"] == pytest.approx(file["probabilities"][2].sum() / cut.sum(), rel=1e-5)
    write_froc(froc, folders / "out")
    back = read_froc(folders / "out")
    pd.testing.assert_frame_equal(back.points, froc.points)
    pd.testing.assert_frame_equal(back.curves, froc.curves, check_dtype=False)
    pd.testing.assert_frame_equal(back.voxels, froc.voxels)
    assert back.summary == froc.summary
    threshold = threshold_at(froc, "large", 2.0)
    assert threshold == threshold_at(back, "large", 2.0)
    assert cases_at(froc.points, "large", threshold)["false_positives"].mean() <= 2.0


def test_unusable_probabilities_are_listed(folders):
    np.savez(folders / "prob" / "one.npz", probabilities=np.zeros((3, 2, 2, 2), dtype=np.float32))
    (folders / "prob" / "two.npz").write_bytes(b"no zip")
    with pytest.raises(UserError, match=r"(?s)2 of 2 cases.*one\.npz.*two\.npz"):
        evaluate_probabilities(folders / "ref", folders / "prob")


def test_missing_probabilities_and_unknown_labels(folders):
    (folders / "prob" / "two.npz").unlink()
    with pytest.raises(UserError, match="--only-predicted"):
        evaluate_probabilities(folders / "ref", folders / "prob")
    assert evaluate_probabilities(folders / "ref", folders / "prob", only_predicted=True).summary.cases == 1
    (folders / "prob" / "dataset.json").unlink()
    with pytest.raises(UserError, match="-djfile"):
        evaluate_probabilities(folders / "ref", folders / "prob", only_predicted=True)
    with pytest.raises(UserError, match="save_probabilities"):
        evaluate_probabilities(folders / "ref", folders / "ref")


def test_another_folder_is_no_froc(tmp_path):
    with pytest.raises(UserError, match="not an output of"):
        read_froc(tmp_path)


def test_one_slice_is_scored_in_2d(tmp_path):
    # Two pixels that touch by a corner are one lesion in 2D; nnU-Net stores a slice's probabilities as (c, 1, y, x).
    probability = np.zeros((1, 6, 6), dtype=np.float32)
    probability[0, 1, 1] = probability[0, 2, 2] = 0.9
    for name in ("ref", "prob"):
        (tmp_path / name).mkdir()
    sitk.WriteImage(sitk.GetImageFromArray((probability > 0).astype(np.uint8)), tmp_path / "ref" / "a.nii.gz")
    np.savez(tmp_path / "prob" / "a.npz", probabilities=np.stack([1 - probability, probability]))
    froc = evaluate_probabilities(tmp_path / "ref", tmp_path / "prob")
    row = cases_at(froc.points, "foreground", 0.5).iloc[0]
    assert (row["n_reference"], row["n_prediction"], row["dice"]) == (1, 1, 1)
    assert froc.summary.labels["foreground"].lesion_average_precision == pytest.approx(1)
