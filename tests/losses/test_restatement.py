"""Every combination against the float64 restatement: heads, dimensions, ignored voxels, types, all together."""

import pytest
from loss_restatement import LEVELS, Case, assert_equals_restatement, pairwise

from nnunetv2_sizepenalty.losses import COMMON_COMBINATIONS
from nnunetv2_sizepenalty.losses.sums import rows

# those that 0.1.0 had keep the batches that they had
FIRST = 19
CASES = [
    Case(**row)
    for codes in (COMMON_COMBINATIONS[:FIRST], COMMON_COMBINATIONS[FIRST:])
    for row in pairwise(
        code=codes,
        **LEVELS,
        target_dtype=("float32", "int16", "bool", "int64"),
        tau=(600.0, 20.0),
    )
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_value_and_gradient_equal_the_restatement(case):
    assert_equals_restatement(case)


@pytest.mark.parametrize("case", CASES[::2], ids=str)
def test_dense_formula_of_accelerators_equals_the_restatement(case, monkeypatch):
    monkeypatch.setattr(rows, "background_first", lambda x: False)
    assert_equals_restatement(case)


def test_every_pair_of_levels_is_among_the_cases():
    assert {case.code for case in CASES} == set(COMMON_COMBINATIONS)
    assert len({(case.code, case.heads) for case in CASES}) == len(COMMON_COMBINATIONS) * 5
    assert len({(case.dtype, case.ignored) for case in CASES}) == 4 * 3
