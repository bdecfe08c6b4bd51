"""The paired permutation test against a restatement by hand, and what few or copied patients can never show."""

import itertools

import numpy as np
import pytest

from nnunetv2_sizepenalty.comparison.patients import PatientBlocks
from nnunetv2_sizepenalty.comparison.sign_flip import (
    p_values,
    sign_patterns,
    smallest_detectable,
    smallest_p,
    swaps_under,
)


def outcome(differences, names=None):
    differences = np.asarray(differences, dtype=float).reshape(len(differences), -1)
    patients = PatientBlocks.from_names(range(len(differences)) if names is None else names)
    return p_values(sign_patterns(len(patients)) @ patients.sums(differences))


def by_hand(differences):
    """p of each column alone and by the maximum, over all 2^n patterns in plain loops."""
    n, m = differences.shape
    scale = [np.sqrt(sum(d**2 for d in differences[:, j])) for j in range(m)]
    observed = [abs(differences[:, j].sum()) / scale[j] for j in range(m)]
    alone, together = np.zeros(m), np.zeros(m)
    for signs in itertools.product((-1, 1), repeat=n):
        flipped = [abs(sum(s * d for s, d in zip(signs, differences[:, j], strict=True))) / scale[j] for j in range(m)]
        for j in range(m):
            alone[j] += flipped[j] >= observed[j] - 1e-9
            together[j] += max(flipped) >= observed[j] - 1e-9
    return alone / 2**n, together / 2**n


@pytest.mark.parametrize("n", [2, 5, 8])
def test_all_patterns_as_by_hand(n):
    differences = np.random.default_rng(n).normal(0.4, 1, (n, 3))
    result = outcome(differences)
    alone, together = by_hand(differences)
    np.testing.assert_allclose(result.p, alone)
    np.testing.assert_allclose(result.p_corrected, together)


def test_random_patterns_come_near_to_a_t_test():
    from scipy import stats

    differences = np.random.default_rng(1).normal(0.25, 1, 60)
    assert outcome(differences).p[0] == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, abs=0.01)


def test_nothing_differs():
    result = outcome(np.zeros((8, 2)))
    assert result.p.tolist() == result.p_corrected.tolist() == [1, 1]


@pytest.mark.parametrize("patients, p", [(1, 1), (4, 0.125), (5, 0.0625), (6, 0.03125)])
def test_the_smallest_p_is_that_of_better_in_all(patients, p):
    assert smallest_p(patients) == p
    assert outcome(np.linspace(1, 2, patients)).p[0] == p


def test_copies_of_patients_change_nothing():
    differences = np.array([0.1, 0.2, 0.15, 0.3])
    copied = outcome(np.tile(differences, 10), names=[f"patient {i % 4}" for i in range(40)])
    assert copied.p[0] == outcome(differences).p[0] == 0.125
    assert outcome(np.tile(differences, 10)).p[0] < 1e-4  # what counting scans as patients would say


def test_correlated_metrics_cost_less_than_independent_ones():
    rng = np.random.default_rng(5)
    shift = rng.normal(0.8, 1, 12)
    alike = outcome(np.stack([shift + rng.normal(0, 0.01, 12) for _ in range(10)], axis=1))
    apart = outcome(np.stack([shift, *rng.normal(0, 1, (9, 12))], axis=1))
    assert alike.p_corrected[0] < 1.2 * alike.p[0] < apart.p_corrected[0]


def test_the_family_keeps_its_level():
    rng = np.random.default_rng(2)
    wrong = np.mean([(outcome(rng.normal(0, 1, (8, 6))).p_corrected < 0.05).any() for _ in range(400)])
    assert wrong <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_an_undefined_case_counts_for_neither():
    differences = np.array([[1.0, 1.0], [2.0, np.nan], [1.5, 1.5], [0.5, 0.5], [1, 1], [2, 2], [1, 1]])
    assert outcome(differences).p[1] == 2 * outcome(differences).p[0]
    assert np.isnan(p_values(np.full((4, 1), np.nan)).p[0])


def test_swapped_sums_of_pooled_dice():
    rng = np.random.default_rng(3)
    first, second = rng.integers(1, 50, (7, 2)), rng.integers(1, 50, (7, 2))

    def pooled(sums):
        return sums[..., 0] / sums[..., 1]

    values = swaps_under(sign_patterns(7), first, second, pooled)
    expected = []
    for signs in itertools.product((1, -1), repeat=7):
        a = sum(np.where(s > 0, x, y) for s, x, y in zip(signs, first, second, strict=True))
        b = sum(np.where(s > 0, y, x) for s, x, y in zip(signs, first, second, strict=True))
        expected.append(pooled(b) - pooled(a))
    assert values[0] == pytest.approx(expected[0])
    np.testing.assert_allclose(np.sort(np.abs(np.repeat(values, 2))), np.sort(np.abs(expected)))


def test_power_by_the_test_that_is_used():
    rng = np.random.default_rng(4)
    scatter = rng.normal(0, 1, 20)
    shift = smallest_detectable(scatter)
    shown = np.mean([outcome(rng.choice(scatter - scatter.mean(), 20) + shift).p[0] < 0.05 for _ in range(200)])
    assert 0.7 < shown < 0.9
    assert np.isnan(smallest_detectable(scatter[:1]))
    assert smallest_detectable(scatter[:5]) == np.inf
    assert smallest_detectable(np.ones(8)) == 0
