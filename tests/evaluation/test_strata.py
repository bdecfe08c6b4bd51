"""Tables by size, every number by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from nnunetv2_sizepenalty.evaluation.metrics import CASE_COLUMNS
from nnunetv2_sizepenalty.evaluation.strata import in_stratum, stratum_names
from nnunetv2_sizepenalty.evaluation.summary import LesionStratum
from nnunetv2_sizepenalty.evaluation.tables import case_stratum, lesion_stratum, tables
from nnunetv2_sizepenalty.lesions import SizeBins

BINS = SizeBins()


@pytest.mark.parametrize(
    ("edges", "of_cases", "names"),
    [
        ((1.0, 5.0), True, ["all", "none", "< 1 mL", "1-5 mL", "< 5 mL", ">= 5 mL"]),
        ((1.0, 5.0), False, ["all", "< 1 mL", "1-5 mL", "< 5 mL", ">= 5 mL"]),
        ((2.0,), False, ["all", "< 2 mL", ">= 2 mL"]),
        (
            (0.5, 1.0, 5.0),
            True,
            ["all", "none", "< 0.5 mL", "0.5-1 mL", "< 1 mL", "1-5 mL", "< 5 mL", ">= 5 mL"],
        ),
    ],
)
def test_names(edges, of_cases, names):
    assert stratum_names(SizeBins(edges), of_cases=of_cases) == names


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("all", [True, True, True, True, True]),
        ("none", [True, False, False, False, False]),
        ("< 1 mL", [False, True, False, False, False]),
        ("1-5 mL", [False, False, True, True, False]),
        ("< 5 mL", [False, True, True, True, False]),
        (">= 5 mL", [False, False, False, False, True]),
    ],
)
def test_an_edge_belongs_to_the_bin_above(name, inside):
    assert in_stratum(name, np.array([0, 0.5, 1, 4.9, 5]), BINS).tolist() == inside


def cases_table() -> pd.DataFrame:
    """a: 0.5 mL of lesion, b: 2 mL, c: none with a false positive, d: none and nothing predicted."""
    rows = {
        "case": ["a", "b", "c", "d"],
        "label": ["x"] * 4,
        "n_reference": [1, 2, 0, 0],
        "n_prediction": [2, 1, 1, 0],
        "reference_ml": [0.5, 2.0, 0, 0],
        "prediction_ml": [1.0, 1.0, 0.2, 0],
        "dice": [0.5, 0.6, 0, np.nan],
        "missed": [0, 1, 0, 0],
        "false_positives": [1, 0, 1, 0],
        "false_positive_ml": [0.3, 0, 0.2, 0],
        "rve": [1.0, 0.5, np.nan, np.nan],
    }
    return pd.DataFrame(rows).reindex(columns=CASE_COLUMNS)


def test_cases_taken_together():
    stratum = case_stratum("all", cases_table())
    assert stratum.metrics["dice"].mean == pytest.approx(1.1 / 3)
    assert stratum.metrics["dice"].reasons == {"both masks empty": 1}
    assert stratum.metrics["rve"].reasons == {"empty reference": 1, "both masks empty": 1}
    values = {name: estimate.value for name, estimate in stratum.pooled.items()}
    # Common volume: dice (V_p + V_g) / 2 = 0.375 and 0.9 mL; volumes 2.5 and 2.2 mL.
    assert values["pooled_dice"] == pytest.approx(2 * (0.375 + 0.9) / 4.7)
    assert values["volume_weighted_dice"] == pytest.approx((0.5 * 0.5 + 2 * 0.6) / 2.5)
    assert values["lesion_sensitivity"] == pytest.approx(2 / 3)
    assert values["lesion_precision"] == pytest.approx(2 / 4)
    assert values["false_positives_per_case"] == pytest.approx(2 / 4)
    assert values["false_positive_ml_per_case"] == pytest.approx(0.5 / 4)
    assert values["specificity"] == pytest.approx(1 / 2)  # c and d are lesion-free, d's prediction is empty
    # V_g 0.5, 2, 0, 0 and V_p 1, 1, 0.2, 0: means 0.625, 0.55; variances 0.671875, 0.2075; covariance 0.28125.
    assert values["lin_ccc"] == pytest.approx(2 * 0.28125 / (0.671875 + 0.2075 + 0.075**2))


def test_an_empty_stratum_is_nan_throughout():
    stratum = case_stratum("none", cases_table().iloc[:0])
    assert stratum.cases == 0
    assert all(math.isnan(entry.mean) for entry in stratum.metrics.values())
    assert all(math.isnan(entry.value) for entry in stratum.pooled.values())


def lesions_table() -> pd.DataFrame:
    columns = ["case", "kind", "volume_ml", "detected", "matched", "matched_iou", "dice", "rve"]
    rows = [
        ("a", "reference", 0.5, True, True, 0.8, 0.9, 0.1),
        ("a", "reference", 0.7, False, False, np.nan, 0.0, 1.0),
        ("a", "false_positive", 0.3, False, False, np.nan, np.nan, np.nan),
        ("b", "reference", 6.0, True, False, np.nan, 0.4, 0.5),
        ("b", "unmatched", 0.9, False, False, np.nan, np.nan, np.nan),
        ("b", "false_positive", 2.0, False, False, np.nan, np.nan, np.nan),
    ]
    return pd.DataFrame(rows, columns=columns)


def stratum_of(name: str) -> LesionStratum:
    table = lesions_table()
    return lesion_stratum(name, table[in_stratum(name, table["volume_ml"], BINS)], ["a", "b", "c"])


def test_lesions_and_false_positives_fall_into_bins_by_their_own_volume():
    small = stratum_of("< 1 mL")
    assert {k: getattr(small, k) for k in ("lesions", "missed", "false_positives", "tp", "fp", "fn")} == {
        "lesions": 2,
        "missed": 1,
        "false_positives": 1,
        "tp": 1,
        "fp": 2,  # the false positive and the unmatched prediction
        "fn": 1,
    }
    assert small.false_positive_size == pytest.approx(0.3)
    values = {name: estimate.value for name, estimate in small.estimates.items()}
    assert values == pytest.approx(
        {
            "detection_rate": 1 / 2,
            "dice": 0.9 / 2,
            "rve": 1.1 / 2,
            "lesion_f1": 2 / (2 + 1 + 1),  # 1 found, 1 missed, 1 false positive
            "pq": 0.8 / (1 + 1 + 0.5),
            "sq": 0.8,
            "rq": 1 / (1 + 1 + 0.5),
            "sq_matched": 0.8,
            "false_positives_per_case": 1 / 3,
        }
    )


def test_nothing_matched_is_zero_and_no_lesion_is_undefined():
    large = {name: estimate.value for name, estimate in stratum_of(">= 5 mL").estimates.items()}
    assert (large["pq"], large["sq"], large["rq"]) == (0, 0, 0)
    assert math.isnan(large["sq_matched"])
    middle = stratum_of("1-5 mL")
    assert middle.false_positives == 1
    assert math.isnan(middle.estimates["detection_rate"].value)
    empty = lesion_stratum("all", lesions_table().iloc[:0], ["a"])
    assert math.isnan(empty.estimates["pq"].value)
    assert empty.estimates["false_positives_per_case"].value == 0


def test_the_bins_add_up_to_all():
    cases = cases_table()
    both = tables(cases, lesions_table(), BINS)
    counts = {stratum.name: stratum.cases for stratum in both.case_strata}
    assert counts == {"all": 4, "none": 2, "< 1 mL": 1, "1-5 mL": 1, "< 5 mL": 2, ">= 5 mL": 0}
    lesions = {name: both.lesion_stratum(name) for name in ("all", "< 5 mL", *BINS.names)}
    for key in ("lesions", "missed", "false_positives", "tp", "fp", "fn"):
        counts = {name: getattr(stratum, key) for name, stratum in lesions.items()}
        assert counts["all"] == sum(counts[name] for name in BINS.names)
        assert counts["< 5 mL"] == counts["< 1 mL"] + counts["1-5 mL"]
    with pytest.raises(KeyError, match="2-3 mL"):
        both.case_stratum("2-3 mL")
