import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from nnunetv2_sizepenalty.evaluation.paired import (
    CANNOT_TELL,
    compare_paired,
    holm,
    noise_floor,
    smallest_detectable_difference,
    verdict,
)

RNG = np.random.default_rng(4)
BASELINE = RNG.uniform(0.3, 0.9, 60)
BETTER = BASELINE + RNG.normal(0.05, 0.05, 60)


def test_wins_and_differences_by_hand():
    result = compare_paired([1, 2, 3, math.nan, 4], [2, 2, 1, 5, math.nan], better=-1)
    # Differences 1, 0, -2; lower is better, so the model loses, ties, wins. Two cases are undefined in one of them.
    assert (result.cases, result.undefined) == (3, 2)
    assert (result.wins, result.ties, result.losses) == (1, 1, 1)
    assert (result.baseline_mean, result.model_mean) == (2, pytest.approx(5 / 3))
    assert result.difference == pytest.approx(-1 / 3)


def test_interval_and_p_are_scipys():
    result = compare_paired(BASELINE, BETTER, better=1)
    assert result.p == stats.wilcoxon(BETTER - BASELINE).pvalue
    assert result.interval == "BCa"
    assert result.low < result.difference < result.high


def test_identical_models():
    result = compare_paired(BASELINE, BASELINE, better=1)
    assert (result.difference, result.low, result.high, result.p, result.ties) == (0, 0, 0, 1, 60)
    assert verdict(result, result.p, 1) == CANNOT_TELL


def test_no_common_case():
    result = compare_paired([math.nan, 1], [1, math.nan], better=1)
    assert (result.cases, result.wins) == (0, 0)
    assert all(math.isnan(x) for x in (result.difference, result.p, result.low, result.detectable))
    with pytest.raises(ValueError, match="must be the same"):
        compare_paired([1, 2], [1], better=1)


def test_holm_by_hand_and_without_the_untested():
    # Sorted 0.01, 0.02, 0.04 with factors 3, 2, 1, never falling: 0.03, 0.04, 0.04.
    np.testing.assert_allclose(holm([0.04, math.nan, 0.01, 0.02]), [0.04, math.nan, 0.03, 0.04])
    assert np.isnan(holm([math.nan])).all()


def test_the_noise_floor_by_hand():
    # Variances 2 and 0.5 with one degree of freedom each: 1.25; t(0.975, 2) = 4.3027.
    floor = noise_floor([[1, 3], [5, 6], [9]], repeats=(1, 1))
    assert floor == pytest.approx(4.302653 * math.sqrt(1.25 * 2), rel=1e-6)
    assert noise_floor([[1, 3], [5, 6]], repeats=(2, 2)) == pytest.approx(floor / math.sqrt(2))
    assert math.isnan(noise_floor([[1], [2]]))


def test_the_noise_floor_covers_95_percent_of_repeats():
    rng = np.random.default_rng(0)
    inside = [
        abs(rng.normal() - rng.normal()) < noise_floor([rng.normal(size=4), rng.normal(size=3)]) for _ in range(1500)
    ]
    assert 0.93 < np.mean(inside) < 0.97


def test_the_detectable_difference_has_80_percent_power():
    difference = BETTER - BASELINE
    effect = smallest_detectable_difference(difference) / difference.std(ddof=1)
    assert TTestPower().power(effect, len(difference), 0.05) == pytest.approx(0.8, abs=0.005)
    assert math.isnan(smallest_detectable_difference(np.array([1.0])))


@pytest.mark.parametrize(
    ("model", "better", "p", "floor", "expected"),
    [
        (BETTER, 1, 0.001, math.nan, "better"),
        (BETTER, -1, 0.001, math.nan, "worse"),
        (BETTER, 0, 0.001, math.nan, CANNOT_TELL),
        (BETTER, 1, 0.06, math.nan, CANNOT_TELL),
        (BETTER, 1, 0.001, 0.5, CANNOT_TELL),
        (BETTER, 1, 0.001, 0.001, "better"),
        (BETTER, 1, math.nan, math.nan, CANNOT_TELL),
        # The interval holds 0 whatever the test says.
        (BASELINE + np.resize([0.1, -0.1], 60), 1, 0.001, math.nan, CANNOT_TELL),
    ],
)
def test_verdicts(model, better, p, floor, expected):
    assert verdict(compare_paired(BASELINE, model, better), p, better, floor) == expected
