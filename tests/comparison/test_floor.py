"""The noise floor by hand, and its p over the repeats against Student's t."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from nnunetv2_sizepenalty.comparison.floor import repeat_noise, repeat_p


def test_shared_seeds_are_paired():
    first, second = [0.5, 0.6, 0.7], [0.52, 0.63, 0.71]
    pairs = np.subtract(second, first)
    paired = repeat_noise(first, second, shared_seeds=True)
    assert paired.floor == pytest.approx(4.302653 * pairs.std(ddof=1) / math.sqrt(3), rel=1e-6)
    assert paired.floor < repeat_noise(first, second).floor


def test_two_shared_seeds_are_not_enough_for_pairs():
    values = [0.5, 0.6], [0.52, 0.63]
    assert repeat_noise(*values, shared_seeds=True).floor == repeat_noise(*values).floor


def test_unpaired_repeats_by_hand():
    # Variances 2 and 0.5 with one degree of freedom each: 1.25; t(0.975, 2) = 4.3027.
    assert repeat_noise([1, 3], [5, 6]).floor == pytest.approx(4.302653 * math.sqrt(1.25), rel=1e-6)
    # One model has a single repeat: t(0.975, 1) = 12.706 and 1/2 + 1/1 repeats.
    assert repeat_noise([1, 3], [5]).floor == pytest.approx(12.7062 * math.sqrt(2 * 1.5), rel=1e-5)
    assert math.isnan(repeat_noise([1], [2]).floor)


@pytest.mark.parametrize("shared", [True, False])
def test_of_one_metric_and_few_repeats_p_is_students(shared):
    rng = np.random.default_rng(3)
    first, second = rng.normal(0, 1, 3), rng.normal(1, 1, 3)
    test = stats.ttest_rel if shared else stats.ttest_ind
    (p,) = repeat_p([repeat_noise(first, second, shared_seeds=shared)])
    assert p == pytest.approx(test(first, second).pvalue, abs=0.01)


def test_the_maximum_keeps_the_level_over_correlated_metrics():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(6, 6))
    hits = 0
    for _ in range(300):
        first, second = rng.normal(size=(2, 4, 6)) @ mixing
        hits += (repeat_p([repeat_noise(a, b) for a, b in zip(first.T, second.T, strict=True)]) < 0.05).any()
    assert 0.01 < hits / 300 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)


def test_equal_repeats_and_unknown_ones():
    same = repeat_noise([0.5, 0.5, 0.5], [0.5, 0.5, 0.5])
    unknown = repeat_noise([0.5, math.nan, 0.5], [0.6, 0.5, 0.5])
    apart = repeat_noise([0.5, 0.5, 0.5], [0.6, 0.6, 0.6])
    p = repeat_p([same, unknown, apart, repeat_noise([1], [2])])
    assert p[0] == 1
    assert np.isnan(p[[1, 3]]).all()
    assert p[2] < 0.01
    assert apart.floor == same.floor == 0


def test_trainings_that_take_off_are_exchanged():
    """Three of ten take off: all three in one five is nothing special, whatever Student's t says."""
    first, second = [0.0, 0.01, 0.02, 0.0, 0.01], [0.01, 0.0, 0.9, 0.91, 0.92]
    assert stats.ttest_ind(first, second).pvalue < 0.05
    # 21 of the 126 splits have all three on one side
    assert repeat_p([repeat_noise(first, second)])[0] >= 6 / 126


@pytest.mark.parametrize("sizes", [(5, 5), (3, 4), (2, 6)])
def test_of_any_values_no_more_splits_than_5_percent_pass(sizes):
    rng = np.random.default_rng(5)
    values = rng.standard_cauchy((sum(sizes), 3))
    passed = []
    for chosen in itertools.combinations(range(len(values)), sizes[0]):
        first = np.isin(np.arange(len(values)), chosen)
        p = repeat_p([repeat_noise(v[first], v[~first]) for v in values.T])
        passed.append((p < 0.05).any())
    assert np.mean(passed) < 0.05
