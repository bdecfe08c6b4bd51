import math

import pandas as pd
import pytest

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation.records import (
    CASE_COLUMNS,
    LESION_COLUMNS,
    Evaluation,
    from_json,
    read_evaluation,
    to_json,
    write_evaluation,
)


def test_tables_and_summary_come_back_as_written(tmp_path):
    cases = pd.DataFrame([["NA", "none", 2, 1, *[math.nan] * (len(CASE_COLUMNS) - 4)]], columns=CASE_COLUMNS)
    lesions = pd.DataFrame(
        [["NA", "none", "reference", 1, 0.5, 4, True, False, *[math.nan] * (len(LESION_COLUMNS) - 8)]],
        columns=LESION_COLUMNS,
    )
    summary = {"labels": {"none": {"x": math.nan}}, "missing": ["NA"]}
    write_evaluation(Evaluation(cases, lesions, summary), tmp_path)
    back = read_evaluation(tmp_path)
    pd.testing.assert_frame_equal(back.cases, cases)
    pd.testing.assert_frame_equal(back.lesions, lesions)
    assert math.isnan(back.summary["labels"]["none"]["x"])
    assert back.summary["missing"] == ["NA"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cases.csv", "lesions.csv", "summary.json"]


def test_nan_is_null_and_infinity_is_refused():
    assert from_json(to_json({"a": 1.5}))["a"] == 1.5
    assert "null" in to_json({"a": math.nan})
    with pytest.raises(ValueError):
        to_json({"a": math.inf})


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="not an output of"):
        read_evaluation(tmp_path)
