"""Verdicts of a table: what each of its conditions holds back."""

import dataclasses
import math

import numpy as np
import pytest

from nnunetv2_sizepenalty.comparison.contrast import contrast_means
from nnunetv2_sizepenalty.comparison.paired import CANNOT_TELL, Question, holm, judge, verdict, wins
from nnunetv2_sizepenalty.comparison.patients import PatientBlocks

RNG = np.random.default_rng(4)
BASELINE = RNG.uniform(0.3, 0.9, 60)
BETTER = BASELINE + RNG.normal(0.05, 0.05, 60)


def contrast(baseline, model, patients=None, **options):
    baseline, model = (np.atleast_2d(np.asarray(values, dtype=float)) for values in (baseline, model))
    names = range(baseline.shape[1]) if patients is None else patients
    return contrast_means(baseline, model, PatientBlocks.from_names(names), **options)


def row(*contrasts, better=1, filled=None, primary=None):
    questions = [
        Question({"row": i}, better, c, filled if i == 0 else None, primary=i == primary)
        for i, c in enumerate(contrasts)
    ]
    return judge(questions, len(contrasts[0].first)).iloc[0]


def test_wins_and_differences_by_hand():
    result = contrast([1, 2, 3, math.nan, 4], [2, 2, 1, 5, math.nan])
    # Differences 1, 0, -2; lower is better, so the model loses, ties, wins. Two cases are undefined in one of them.
    assert wins(result.by_case, -1) == {"wins": 1, "ties": 1, "losses": 1}
    assert wins(result.by_case, 0) == {"wins": 0, "ties": 3, "losses": 0}
    assert (result.baseline, result.model) == (2, pytest.approx(5 / 3))
    assert result.difference.value == pytest.approx(-1 / 3)


def test_identical_models():
    found = row(contrast(BASELINE, BASELINE))
    assert (found.difference, found.low, found.high, found.p, found.p_corrected, found.ties) == (0, 0, 0, 1, 1, 60)
    assert found.verdict == CANNOT_TELL


@pytest.mark.parametrize(
    ("baseline", "model"), [([math.nan, 1], [1, math.nan]), ([0.2], [0.9]), ([], [])], ids=["no common", "one", "none"]
)
def test_too_few_cases_can_not_tell(baseline, model):
    found = row(contrast(baseline, model))
    assert found.verdict == CANNOT_TELL
    assert not found.p < 1


def test_repeats_with_a_value_count():
    found = contrast([[1, 2], [3, math.nan]], [[2, 2]])
    assert found.by_case.tolist() == [0, 0]


def test_ten_scans_of_four_patients_leave_the_verdict_where_it_was():
    few = row(contrast(BASELINE[:4], BASELINE[:4] + np.array([0.1, 0.2, 0.15, 0.3])))
    baseline, names = np.tile(BASELINE[:4], 10), np.tile(np.arange(4), 10)
    copied = row(contrast(baseline, baseline + np.tile([0.1, 0.2, 0.15, 0.3], 10), names))
    assert (copied.p, copied.p_corrected) == (few.p, few.p_corrected) == (0.125, 0.125)
    assert (copied.low, copied.high) == pytest.approx((few.low, few.high), abs=0.01)
    assert copied.verdict == few.verdict == CANNOT_TELL
    as_cases = row(contrast(baseline, baseline + np.tile([0.1, 0.2, 0.15, 0.3], 10)))
    assert as_cases.verdict == "better"


def test_holm_by_hand_and_without_the_untested():
    # Sorted 0.01, 0.02, 0.04 with factors 3, 2, 1, never falling: 0.03, 0.04, 0.04.
    np.testing.assert_allclose(holm([0.04, math.nan, 0.01, 0.02]), [0.04, math.nan, 0.03, 0.04])
    assert np.isnan(holm([math.nan])).all()


SIX = [0.1, 0.2, 0.15, 0.3, 0.1, 0.2]


def test_six_patients_show_a_primary_endpoint_that_is_better_in_all():
    better, as_consistent = contrast(np.zeros(6), SIX), contrast(np.zeros(6), [1, 1, -1, 1, 1, 1])
    corrected = row(better, as_consistent)
    assert (corrected.p, corrected.verdict) == (0.03125, CANNOT_TELL)
    named = row(better, as_consistent, primary=0)
    assert (named.p_corrected, named.verdict) == (0.03125, "better")
    once_worse = contrast(np.zeros(6), [*SIX[:5], -0.01])
    assert row(once_worse, as_consistent, primary=0).verdict == CANNOT_TELL


def test_five_patients_show_nothing():
    assert row(contrast(np.zeros(5), np.arange(1, 6)), primary=0).verdict == CANNOT_TELL


def test_a_verdict_must_hold_with_the_worst_value_too():
    known = contrast(BASELINE, BETTER)
    assert row(known, filled=known).verdict == "better"
    filled = contrast(BASELINE, np.where(np.arange(60) < 20, 0, BETTER))
    found = row(known, filled=filled)
    assert found.verdict == CANNOT_TELL
    assert found.difference == known.difference.value
    assert found.p_corrected >= row(known).p_corrected


@pytest.mark.parametrize(
    ("model", "better", "p", "expected"),
    [
        (BETTER, 1, 0.001, "better"),
        (BETTER, -1, 0.001, "worse"),
        (BETTER, 0, 0.001, CANNOT_TELL),
        (BETTER, 1, 0.06, CANNOT_TELL),
        (BETTER, 1, math.nan, CANNOT_TELL),
        # The interval holds 0 whatever the test says.
        (BASELINE + np.resize([0.1, -0.1], 60), 1, 0.001, CANNOT_TELL),
    ],
)
def test_verdicts(model, better, p, expected):
    assert verdict(contrast(BASELINE, model), p, math.nan, better) == expected


@pytest.mark.parametrize(
    ("spread", "p_repeats", "expected"), [(0.001, 0.01, "better"), (0.2, 0.01, CANNOT_TELL), (0.001, 0.06, CANNOT_TELL)]
)
def test_a_difference_must_pass_what_repeating_does(spread, p_repeats, expected):
    repeats = [BASELINE - spread, BASELINE, BASELINE + spread]
    found = contrast(repeats, [r + BETTER - BASELINE for r in repeats])
    assert verdict(found, 0.001, p_repeats, 1) == expected


def test_repeats_of_which_nothing_is_known_tell_nothing():
    found = contrast([BASELINE, BASELINE], [BETTER])
    noise = dataclasses.replace(found.noise, values=np.array([1.0, np.nan, 1.0]))
    assert verdict(dataclasses.replace(found, noise=noise), 0.001, math.nan, 1) == CANNOT_TELL


def test_power_is_that_of_the_corrected_test():
    rng = np.random.default_rng(1)
    found = contrast(BASELINE[:30], BETTER[:30])
    noise = [contrast(np.zeros(30), rng.normal(0, 1, 30)) for _ in range(8)]
    alone, corrected = row(found).detectable, row(found, *noise).detectable
    assert 1.1 * alone < corrected < 3 * alone
