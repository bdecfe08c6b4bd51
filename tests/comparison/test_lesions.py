"""Who found which lesion, of two models, of three, and of repeats."""

import numpy as np
import pytest
from made_evaluations import make_evaluation, make_model

from nnunetv2_sizepenalty.comparison.case_views import lesion_rows
from nnunetv2_sizepenalty.comparison.lesions import cases_to_show, count_found, who_found
from nnunetv2_sizepenalty.comparison.setting import Setting
from nnunetv2_sizepenalty.lesions import SizeBins

SETTING = Setting("lesion", SizeBins())
CASES = ["a", "b", "c", "d"]
VOLUMES = [1.0, 3.0, 2.0, 4.0]


def model(name, *missed_of_runs):
    return make_model(name, *(make_evaluation(CASES, missed=missed, reference_ml=VOLUMES) for missed in missed_of_runs))


def test_of_two_models():
    table = who_found([model("A", [0, 0, 1, 1]), model("B", [0, 1, 0, 1])], SETTING)
    assert table["case"].tolist() == ["d", "b", "c", "a"], "the largest first"
    assert table["found_by"].tolist() == ["none", "A", "B", "both"]
    assert cases_to_show(table) == {"b": 1, "c": 1}
    assert count_found(table) == {"none": 1, "A": 1, "B": 1, "both": 1}


def test_of_three_models():
    models = [model("A", [0, 0, 0, 1]), model("B", [0, 1, 0, 1]), model("C", [0, 1, 1, 1])]
    table = who_found(models, SETTING).set_index("case")
    assert table.loc[CASES, "found_by"].tolist() == ["all", "A", "A, B", "none"]


def test_of_repeats_more_than_half_must_find_it():
    repeats = model("B", [0, 1, 0, 1], [0, 1, 1, 0], [0, 0, 1, 1])
    table = who_found([model("A", [1, 1, 1, 1]), repeats], SETTING).set_index("case")
    assert table.loc[CASES, "found by B"].tolist() == pytest.approx([1, 1 / 3, 1 / 3, 1 / 3])
    assert table.loc[CASES, "found_by"].tolist() == ["B", "none", "none", "none"]


def test_rows_of_the_page():
    rows = lesion_rows(who_found([model("A", [0] * 4), model("B", [0] * 4)], SETTING), "volume_ml")
    assert rows[0] == {
        "key": "d/1", "case": "d", "lesion": 1, "volume_ml": 4.0, "place": "0, 0, 0", "found_by": "both",
    }  # fmt: skip


def test_without_any_lesion():
    empty = make_model("A", make_evaluation(CASES, reference_ml=np.zeros(4)))
    table = who_found([empty, make_model("B", *empty.runs)], SETTING)
    assert table.empty
    assert lesion_rows(table, "volume_ml") == []
