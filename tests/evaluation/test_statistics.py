import math
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nnunetv2_sizepenalty.evaluation.statistics import (
    RESAMPLES,
    aggregate,
    lin_ccc,
    mean_estimate,
    mean_estimates,
    ratio_estimate,
)
from nnunetv2_sizepenalty.evaluation.summary import Estimate

# Peak expiratory flow of 17 subjects by two meters: Bland and Altman 1986, Lancet 327, 307-310, the first readings.
LARGE = np.array([494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427.0])
MINI = np.array([512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451.0])


def test_lins_coefficient_on_a_published_example():
    # The paper prints r = 0.94, a mean difference of -2.1 and a standard deviation of the differences of 38.8.
    difference = LARGE - MINI
    assert round(difference.mean(), 1) == -2.1
    assert round(difference.std(ddof=1), 1) == 38.8
    # Lin's coefficient is 1 - E(x - y)^2 / (its value for independent x and y).
    independent = LARGE.var() + MINI.var() + difference.mean() ** 2
    coefficient = lin_ccc(LARGE, MINI)
    assert coefficient.value == pytest.approx(1 - np.mean(difference**2) / independent)
    assert round(coefficient.value, 3) == 0.943
    r = np.corrcoef(LARGE, MINI)[0, 1]
    assert round(r, 2) == 0.94
    assert coefficient.low < coefficient.value < min(r, coefficient.high)


def test_lins_coefficient_by_hand():
    # x 0, 2 and y 1, 5: means 1 and 3, variances 1 and 4, covariance 2: 4 / (1 + 4 + 4).
    assert lin_ccc([0, 2], [1, 5]).value == pytest.approx(4 / 9)
    assert lin_ccc(LARGE, LARGE).value == pytest.approx(1)
    assert math.isnan(lin_ccc([], []).value)


def test_intervals_are_scipys_bca():
    values = np.random.default_rng(0).exponential(size=40)
    expected = stats.bootstrap((values,), np.mean, n_resamples=RESAMPLES, rng=np.random.default_rng(0))
    mean = mean_estimate(values)
    assert (mean.value, mean.interval) == (pytest.approx(values.mean()), "BCa")
    assert (mean.low, mean.high) == pytest.approx(tuple(expected.confidence_interval))
    # An interval of a skewed mean is not symmetric, which the percentile method would nearly be.
    assert mean.high - mean.value > 1.1 * (mean.value - mean.low)


def test_a_ratios_interval_is_scipys_with_paired_samples():
    rng = np.random.default_rng(2)
    lesions = rng.integers(1, 6, 30)
    found = rng.binomial(lesions, 0.7)
    expected = stats.bootstrap(
        (found, lesions),
        lambda a, b, axis=-1: a.sum(axis=axis) / b.sum(axis=axis),
        paired=True,
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(0),
    )
    ratio = ratio_estimate(found, lesions)
    assert (ratio.low, ratio.high) == pytest.approx(tuple(expected.confidence_interval))


def test_several_rows_are_resampled_together_and_alike():
    matrix = np.random.default_rng(1).normal(size=(3, 25))
    for together, row in zip(mean_estimates(matrix), matrix, strict=True):
        assert asdict(together) == pytest.approx(asdict(mean_estimate(row)))


def test_an_interval_is_the_same_whatever_stands_beside_it():
    """Of five cases every 26th resample draws each once; rounding must not put it below or above the sample."""
    rows = np.random.default_rng(1).lognormal(size=(40, 5))
    many = mean_estimates(rows)
    assert [mean_estimates(rows[i : i + 1])[0] for i in range(40)] == [
        replace(one, **{name: pytest.approx(getattr(one, name), rel=1e-12) for name in ("value", "low", "high")})
        for one in many
    ]


def test_where_bca_is_undefined():
    constant, rising = mean_estimates(np.array([[0.1] * 5, [1.0, 2, 3, 4, 5]]))
    assert constant == Estimate(value=0.1, low=0.1, high=0.1, interval="percentile")
    assert rising.interval == "BCa"
    single = mean_estimate([1.5])
    assert (single.value, single.interval) == (1.5, "none")
    assert math.isnan(single.low)
    assert math.isnan(mean_estimate([]).value)


def test_a_ratio_of_sums_leaves_out_cases_that_count_for_neither():
    found, lesions = [1, 0, 0, 3, 2], [2, 0, 1, 3, 2]
    ratio = ratio_estimate(found, lesions)
    assert ratio.value == 6 / 8
    assert ratio == ratio_estimate([1, 0, 3, 2], [2, 1, 3, 2])
    assert 0 <= ratio.low < 6 / 8 < ratio.high <= 1
    assert math.isnan(ratio_estimate([0, 0], [0, 0]).value)


def test_one_case_has_no_concordance():
    single = lin_ccc([3.0], [4.0])
    assert math.isnan(single.value)
    assert single.interval == "none"


def test_intervals_stay_inside_the_range_of_what_is_averaged():
    # Sums of such shares end a few ulp beyond 0 or 1, as in "-6.94e-18 to 0.2".
    rng = np.random.default_rng(0)
    for n in (3, 5, 8, 20):
        for share in (0.1, 0.3, 0.9):
            values = np.where(rng.random((4, n)) < 0.3, rng.random((4, n)) * share, np.round(rng.random((4, n))))
            for row, estimate in zip(values, mean_estimates(values), strict=True):
                assert row.min() <= estimate.low <= estimate.high <= row.max()
            lesions = rng.integers(1, 9, n)
            ratio = ratio_estimate(np.minimum(lesions, rng.integers(0, 9, n)), lesions)
            assert 0 <= ratio.low <= ratio.high <= 1
            ccc = lin_ccc(rng.random(n), rng.random(n))
            assert -1 <= ccc.low <= ccc.high <= 1


def test_an_aggregate_says_over_how_many_and_why():
    table = pd.DataFrame({"x": [1.0, 2, 6, np.nan], "y": [1.0, 1, 1, 1], "z": [np.nan] * 4})
    result = aggregate(table, ["-", "-", "-", "empty reference"])
    x = result["x"]
    assert (x.n, x.undefined, x.reasons) == (3, 1, {"empty reference": 1})
    assert (x.mean, x.median, x.sd) == (3, 2, pytest.approx(math.sqrt(7)))
    assert x.low < 3 < x.high
    assert result["y"].interval == "percentile"
    assert (result["z"].n, result["z"].interval, math.isnan(result["z"].mean)) == (0, "none", True)
    assert list(aggregate(table.iloc[:0], [])) == ["x", "y", "z"]
