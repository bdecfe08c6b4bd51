import math

import pandas as pd
import pytest
from made_evaluations import make_summary

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation.metrics import CASE_COLUMNS, LESION_COLUMNS
from nnunetv2_sizepenalty.evaluation.nan_json import from_json, to_json
from nnunetv2_sizepenalty.evaluation.records import Evaluation, read_evaluation, write_evaluation
from nnunetv2_sizepenalty.evaluation.summary import CaseStratum, Estimate, GroupTables, LabelSummary, Tables


def test_tables_and_summary_come_back_as_written(tmp_path):
    cases = pd.DataFrame([["NA", "none", 2, 1, *[math.nan] * (len(CASE_COLUMNS) - 4)]], columns=CASE_COLUMNS)
    lesions = pd.DataFrame(
        [["NA", "none", "reference", 1, 0.5, 4, True, False, *[math.nan] * (len(LESION_COLUMNS) - 8)]],
        columns=LESION_COLUMNS,
    )
    estimate = Estimate(math.nan, math.nan, math.nan, "none")
    stratum = CaseStratum("all", 1, {}, {"lin_ccc": estimate})
    of_label = LabelSummary((1,), Tables((stratum,), ()), {"site": GroupTables({}, {"dice": math.nan})})
    settings = {"connectivity": None, "min_voxels": 5}
    summary = make_summary(labels={"none": of_label}, missing=("NA",), settings=settings)
    write_evaluation(Evaluation(cases, lesions, summary), tmp_path)
    back = read_evaluation(tmp_path)
    pd.testing.assert_frame_equal(back.cases, cases)
    pd.testing.assert_frame_equal(back.lesions, lesions)
    assert math.isnan(back.summary.labels["none"].tables.case_stratum("all").pooled["lin_ccc"].value)
    assert back.summary.missing == ("NA",)
    assert back.summary.settings == settings
    assert to_json(back.summary) == (tmp_path / "summary.json").read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cases.csv", "lesions.csv", "summary.json"]


def test_nan_is_null_and_infinity_is_refused():
    assert from_json(to_json({"a": 1.5}))["a"] == 1.5
    assert "null" in to_json({"a": math.nan})
    with pytest.raises(ValueError):
        to_json({"a": math.inf})


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="not an output of"):
        read_evaluation(tmp_path)


def test_a_summary_of_something_else_is_refused_in_one_line(tmp_path):
    write_evaluation(Evaluation(pd.DataFrame(columns=CASE_COLUMNS), pd.DataFrame(), make_summary()), tmp_path)
    (tmp_path / "lesions.csv").write_text("case,label\n")
    (tmp_path / "summary.json").write_text('{"mean": {}}')
    with pytest.raises(UserError, match=r"^.*not an output of .* \(.*version: Field required.*\); name such a folder$"):
        read_evaluation(tmp_path)
