"""Six tiny pairs of masks; every number of every pair is worked out in the comments.

`#` is a voxel of both masks, `r` of the reference alone, `p` of the prediction alone. Every lesion is one voxel thick,
so that all of its voxels are surface. Connectivity 8 in 2D, IoU >= 0.5 for a match, NSD within 1 mm.
"""

import math

import numpy as np
import pytest

from nnunetv2_sizepenalty.evaluation.case import CaseScores, score_case
from nnunetv2_sizepenalty.evaluation.protocols import Protocol

NAN = math.nan


def draw(*rows: str) -> tuple[np.ndarray, np.ndarray]:
    letters = np.array([list(row) for row in rows])
    return np.isin(letters, ["#", "r"]), np.isin(letters, ["#", "p"])


def check(scores: CaseScores, expected: dict[str, float], lesions: dict[str, list]) -> None:
    assert scores.metrics == {name: pytest.approx(value, abs=1e-12, nan_ok=True) for name, value in expected.items()}
    for name, values in lesions.items():
        if name == "kind":
            assert scores.lesions[name].tolist() == values
        else:
            column = scores.centroid if name == "centroid" else scores.lesions[name]
            np.testing.assert_allclose(np.array(column, dtype=float), np.array(values, dtype=float), err_msg=name)


def test_1_identical():
    # Two lesions, of 3 and 1 pixels; a pixel is 2 x 5 = 10 mm^2, counted as 10 mm^3: 0.01 mL.
    scores = score_case(*draw("###..", ".....", "....#"), (2.0, 5.0), Protocol())
    expected = {
        "n_reference": 2,
        "n_prediction": 2,
        "reference_ml": 0.04,
        "prediction_ml": 0.04,
        "dice": 1,
        "iou": 1,
        "rve": 0,
        "volume_error_ml": 0,
        "absolute_volume_error_ml": 0,
        "lesion_count_error": 0,
        "missed": 0,
        "false_positives": 0,
        "false_positive_ml": 0,
        "detection_rate": 1,
        "lesion_f1": 1,
        "pq": 1,
        "sq": 1,
        "rq": 1,
        "tp": 2,
        "fp": 0,
        "fn": 0,
        "sq_matched": 1,
        "assd": 0,
        "masd": 0,
        "hd95": 0,
        "nsd": 1,
        "lesion_masd": 0,
        # Share rule: all that is predicted is lesion.
        "missed_share": 0,
        "false_positives_share": 0,
        "detection_rate_share": 1,
    }
    lesions = {
        "kind": ["reference", "reference"],
        "lesion": [1, 2],
        "volume_ml": [0.03, 0.01],
        "voxels": [3, 1],
        "detected": [1, 1],
        "matched": [1, 1],
        "matched_iou": [1, 1],
        "dice": [1, 1],
        "rve": [0, 0],
        "lesion_masd": [0, 0],
        "centroid": [[0, 1], [2, 4]],  # the pixels (0, 0), (0, 1), (0, 2) and the pixel (2, 4)
    }
    check(scores, expected, lesions)


def test_2_shifted_by_one_voxel_in_3d():
    # Four voxels each, 3 in common, along x, where a voxel is 4 mm long; voxel volume 1 x 2 x 4 = 8 mm^3 = 0.008 mL.
    masks = (np.stack([np.zeros_like(m), m, np.zeros_like(m)]) for m in draw(".....", "r###p", "....."))
    scores = score_case(*masks, (1.0, 2.0, 4.0), Protocol())
    expected = {
        "n_reference": 1,
        "n_prediction": 1,
        "reference_ml": 0.032,
        "prediction_ml": 0.032,
        "dice": 6 / 8,  # 2 * 3 / (4 + 4)
        "iou": 3 / 5,  # 3 / (4 + 4 - 3)
        "rve": 0,
        "volume_error_ml": 0,
        "absolute_volume_error_ml": 0,
        "lesion_count_error": 0,
        "missed": 0,
        "false_positives": 0,
        "false_positive_ml": 0,
        "detection_rate": 1,
        "lesion_f1": 1,
        "pq": 0.6,  # one pair of IoU 0.6, nothing unmatched
        "sq": 0.6,
        "rq": 1,
        "tp": 1,
        "fp": 0,
        "fn": 0,
        "sq_matched": 0.6,
        # Distances to the other surface, from the reference 4, 0, 0, 0 and from the prediction 0, 0, 0, 4.
        "assd": 1,  # (4 + 4) / 8
        "masd": 1,  # (4 / 4 + 4 / 4) / 2
        "hd95": 3.4,  # sorted 0, 0, 0, 4; position 0.95 * 3 = 2.85: 0.85 of the way from 0 to 4
        "nsd": 6 / 8,  # 6 of 8 voxels within 1 mm
        "lesion_masd": 1,
        # Share rule: 3 voxels inside, the fourth is rim: 3 of 3.
        "missed_share": 0,
        "false_positives_share": 0,
        "detection_rate_share": 1,
    }
    lesions = {
        "kind": ["reference"],
        "matched_iou": [0.6],
        "dice": [0.75],
        "rve": [0],
        "lesion_masd": [1],
        "centroid": [[1, 1, 1.5]],  # z 1, y 1, x 0 to 3
    }
    check(scores, expected, lesions)


def test_3_one_found_one_missed_one_false_positive():
    # Reference: A = (0, 0), (0, 1), found, and B = (0, 5), missed. Prediction: (0, 1) and the false positive (2, 2).
    # A pixel is 3 x 1 mm, 0.003 mL.
    scores = score_case(*draw("r#...r", "......", "..p..."), (3.0, 1.0), Protocol())
    expected = {
        "n_reference": 2,
        "n_prediction": 2,
        "reference_ml": 0.009,
        "prediction_ml": 0.006,
        "dice": 2 / 5,  # 2 * 1 / (3 + 2)
        "iou": 1 / 4,
        "rve": 1 / 3,  # abs(2 - 3) / 3
        "volume_error_ml": -0.003,
        "absolute_volume_error_ml": 0.003,
        "lesion_count_error": 0,
        "missed": 1,
        "false_positives": 1,
        "false_positive_ml": 0.003,
        "detection_rate": 1 / 2,
        "lesion_f1": 1 / 2,  # 2 * 1 / (2 * 1 + 1 + 1)
        # A and (0, 1) have IoU 1 / 2, which is enough.
        "pq": 1 / 4,  # 0.5 / (1 + 0.5 + 0.5)
        "sq": 1 / 2,
        "rq": 1 / 2,
        "tp": 1,
        "fp": 1,
        "fn": 1,
        "sq_matched": 1 / 2,
        # From the reference: (0, 0) -> (0, 1) 1; (0, 1) 0; (0, 5) -> (0, 1) 4 (to (2, 2): sqrt(36 + 9) > 4).
        # From the prediction: (0, 1) 0; (2, 2) -> (0, 1) sqrt(36 + 1) = 6.0828.
        "assd": (1 + 4 + math.sqrt(37)) / 5,
        "masd": (5 / 3 + math.sqrt(37) / 2) / 2,
        # Reference 0, 1, 4: position 1.9, 1 + 0.9 * 3 = 3.7. Prediction 0, sqrt(37): 0.95 * sqrt(37) = 5.779.
        "hd95": 0.95 * math.sqrt(37),
        "nsd": 3 / 5,  # (0, 0), (0, 1) and (0, 1)
        "lesion_masd": 0.25,  # A: from A 1 and 0, mean 0.5; back 0; (0.5 + 0) / 2
        # Share rule: of A 1 of 1 predicted; nothing around B; (2, 2) touches no lesion.
        "missed_share": 1,
        "false_positives_share": 1,
        "detection_rate_share": 1 / 2,
    }
    lesions = {
        "kind": ["reference", "reference", "false_positive"],
        "lesion": [1, 2, 2],
        "volume_ml": [0.006, 0.003, 0.003],
        "detected": [1, 0, 0],
        "matched": [1, 0, 0],
        "matched_iou": [0.5, NAN, NAN],
        "dice": [2 / 3, 0, NAN],  # A: 2 * 1 / (2 + 1)
        "rve": [1 / 2, 1, NAN],  # A: abs(1 - 2) / 2
        "lesion_masd": [0.25, NAN, NAN],
        "centroid": [[0, 0.5], [0, 5], [2, 2]],
    }
    check(scores, expected, lesions)


def test_4_one_prediction_bridges_two_lesions():
    # Reference: A of 4 pixels and B of 1; the prediction covers all from the first to the last: 6 pixels of 1 mm^2.
    scores = score_case(*draw("####p#"), (1.0, 1.0), Protocol())
    expected = {
        "n_reference": 2,
        "n_prediction": 1,
        "reference_ml": 0.005,
        "prediction_ml": 0.006,
        "dice": 10 / 11,  # 2 * 5 / (5 + 6)
        "iou": 5 / 6,
        "rve": 1 / 5,
        "volume_error_ml": 0.001,
        "absolute_volume_error_ml": 0.001,
        "lesion_count_error": 1,
        # Any overlap: both lesions are detected, and the prediction is no false positive.
        "missed": 0,
        "false_positives": 0,
        "false_positive_ml": 0,
        "detection_rate": 1,
        "lesion_f1": 1,
        # One to one: IoU with A 4 / 6, with B 1 / 6; A gets it, B is left over.
        "pq": 4 / 6 / 1.5,
        "sq": 4 / 6,
        "rq": 2 / 3,  # 1 / (1 + 0 + 0.5)
        "tp": 1,
        "fp": 0,
        "fn": 1,
        "sq_matched": 4 / 6,
        # Only the bridge is off the reference, by 1 mm.
        "assd": 1 / 11,
        "masd": 1 / 12,  # (0 + 1 / 6) / 2
        "hd95": 0.75,  # prediction 0, 0, 0, 0, 0, 1: position 0.95 * 5 = 4.75
        "nsd": 1,
        "lesion_masd": 1 / 4,  # from A 0; from the prediction to A alone 0, 0, 0, 0, 1, 2: mean 0.5; (0 + 0.5) / 2
        # Share rule: the bridge is as near to A as to B and goes to A, the larger, as rim: 4 of 4 and 1 of 1.
        "missed_share": 0,
        "false_positives_share": 0,
        "detection_rate_share": 1,
    }
    lesions = {
        "kind": ["reference", "reference"],
        "detected": [1, 1],
        "matched": [1, 0],
        "matched_iou": [4 / 6, NAN],
        "dice": [8 / 10, 2 / 7],  # 2 * 4 / (4 + 6) and 2 * 1 / (1 + 6)
        "rve": [2 / 4, 5],  # abs(6 - 4) / 4 and abs(6 - 1) / 1
        "lesion_masd": [0.25, NAN],
    }
    check(scores, expected, lesions)


def test_5_two_fragments_of_one_lesion():
    # The reference has 4 pixels of 1 mm^2; the prediction is two fragments of 2 and, with a gap between, 1 pixel.
    scores = score_case(*draw("##r#"), (1.0, 1.0), Protocol())
    expected = {
        "n_reference": 1,
        "n_prediction": 2,
        "reference_ml": 0.004,
        "prediction_ml": 0.003,
        "dice": 6 / 7,
        "iou": 3 / 4,
        "rve": 1 / 4,
        "volume_error_ml": -0.001,
        "absolute_volume_error_ml": 0.001,
        "lesion_count_error": 1,
        # Both fragments touch the lesion: detected, and no false positive.
        "missed": 0,
        "false_positives": 0,
        "false_positive_ml": 0,
        "detection_rate": 1,
        "lesion_f1": 1,
        # IoU 2 / 4 with the first, 1 / 4 with the second: the second stays unmatched.
        "pq": 0.5 / 1.5,
        "sq": 0.5,
        "rq": 2 / 3,
        "tp": 1,
        "fp": 1,
        "fn": 0,
        "sq_matched": 0.5,
        # The gap is 1 mm from both fragments.
        "assd": 1 / 7,
        "masd": 1 / 8,
        "hd95": 0.85,  # reference 0, 0, 0, 1: position 2.85
        "nsd": 1,
        "lesion_masd": 3 / 8,  # to the first fragment alone 0, 0, 1, 2: mean 0.75; back 0
        # Share rule: 2 of 2 and 1 of 1.
        "missed_share": 0,
        "false_positives_share": 0,
        "detection_rate_share": 1,
    }
    lesions = {
        "kind": ["reference", "unmatched"],
        "lesion": [1, 2],
        "detected": [1, 0],
        "matched": [1, 0],
        "voxels": [4, 1],
        "dice": [6 / 7, NAN],  # against both fragments: 2 * 3 / (4 + 3)
        "rve": [1 / 4, NAN],
        "lesion_masd": [3 / 8, NAN],
        "centroid": [[0, 1.5], [0, 3]],
    }
    check(scores, expected, lesions)


def test_6_empty_prediction_reference_or_both():
    reference, nothing = draw("rr.r")
    expected = {
        "n_reference": 2,
        "n_prediction": 0,
        "reference_ml": 0.003,
        "prediction_ml": 0,
        "dice": 0,
        "iou": 0,
        "rve": 1,  # abs(0 - 3) / 3
        "volume_error_ml": -0.003,
        "absolute_volume_error_ml": 0.003,
        "lesion_count_error": 2,
        "missed": 2,
        "false_positives": 0,
        "false_positive_ml": 0,
        "detection_rate": 0,
        "lesion_f1": 0,
        # There are lesions and none is matched: 0, not undefined.
        "pq": 0,
        "sq": 0,
        "rq": 0,
        "tp": 0,
        "fp": 0,
        "fn": 2,
        "sq_matched": NAN,
        "assd": NAN,
        "masd": NAN,
        "hd95": NAN,
        "nsd": NAN,
        "lesion_masd": NAN,
        # Share rule: nothing is predicted.
        "missed_share": 2,
        "false_positives_share": 0,
        "detection_rate_share": 0,
    }
    check(score_case(reference, nothing, (1.0, 1.0), Protocol()), expected, {"dice": [0, 0], "rve": [1, 1]})
    # The other way round, three pixels in two false positives: no reference volume to relate the error to.
    swapped = expected | {
        "n_reference": 0,
        "n_prediction": 2,
        "reference_ml": 0,
        "prediction_ml": 0.003,
        "rve": NAN,
        "volume_error_ml": 0.003,
        "missed": 0,
        "false_positives": 2,
        "false_positive_ml": 0.003,
        "detection_rate": NAN,
        "fp": 2,
        "fn": 0,
        "missed_share": 0,
        "false_positives_share": 2,
        "detection_rate_share": NAN,
    }
    kinds = {"kind": ["false_positive"] * 2, "voxels": [2, 1], "centroid": [[0, 0.5], [0, 3]]}
    check(score_case(nothing, reference, (1.0, 1.0), Protocol()), swapped, kinds)
    # Nothing in either: no error, and every ratio undefined.
    both = swapped | dict.fromkeys(("dice", "iou", "lesion_f1", "pq", "sq", "rq"), NAN)
    both |= dict.fromkeys(
        ("n_prediction", "prediction_ml", "volume_error_ml", "absolute_volume_error_ml", "lesion_count_error"), 0
    )
    both |= dict.fromkeys(("false_positives", "false_positive_ml", "fp", "false_positives_share"), 0)
    check(score_case(nothing, nothing, (1.0, 1.0), Protocol()), both, {"kind": []})
