"""Who is one patient, and means that resample patients."""

import numpy as np
import pytest

from nnunetv2_sizepenalty.comparison.patients import PatientBlocks, find_patients
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation.statistics import mean_estimate

CASES = ["sub-1_ses-1", "sub-1_ses-2", "sub-2_ses-1", "other"]


def test_names_tell_patients():
    assert find_patients(CASES) == dict(zip(CASES, ["sub-1", "sub-1", "sub-2", "other"], strict=True))


def write(path, column="patient", values="aabb"):
    path.write_text("\n".join([f"case,{column}", *(f"{c},{v}" for c, v in zip(CASES, values, strict=True))]))
    return path


def test_a_column_tells_patients(tmp_path):
    assert list(find_patients(CASES, write(tmp_path / "a.csv")).values()) == list("aabb")
    assert list(find_patients(CASES, write(tmp_path / "b.csv", "who"), "who").values()) == list("aabb")


@pytest.mark.parametrize(
    ("file", "column", "message"),
    [
        ({"column": "who"}, None, "no column patient; --patient names one of who"),
        ({"values": ["a", "", "b", "b"]}, None, "column patient is empty for case sub-1_ses-2"),
        (None, "who", "--patient who: a column of which table"),
    ],
)
def test_a_table_that_tells_no_patients_is_refused(tmp_path, file, column, message):
    table = None if file is None else write(tmp_path / "a.csv", **file)
    with pytest.raises(UserError, match=message):
        find_patients(CASES, table, column)


def test_of_patients_with_one_case_the_mean_is_that_over_cases():
    values = np.random.default_rng(0).normal(size=12)
    values[3] = np.nan
    ours, own = PatientBlocks.from_names(range(12)).mean(values), mean_estimate(values)
    assert (ours.value, ours.low, ours.high) == pytest.approx((own.value, own.low, own.high), rel=1e-12)
    assert ours.interval == own.interval


def test_copies_of_cases_make_no_interval_narrower():
    values = np.random.default_rng(0).normal(size=6)
    copied = PatientBlocks.from_names(np.tile(np.arange(6), 5)).mean(np.tile(values, 5))
    once = mean_estimate(values)
    assert (copied.value, copied.low, copied.high) == pytest.approx((once.value, once.low, once.high), abs=0.01)


def test_some_cases_keep_their_patients_numbers():
    blocks = PatientBlocks.from_names("abca").at(np.array([False, True, False, True]))
    assert len(blocks) == 3
    assert blocks.present.tolist() == [True, True, False]
    assert blocks.sums(np.array([1.0, 2.0])).tolist() == [2, 1, 0]
