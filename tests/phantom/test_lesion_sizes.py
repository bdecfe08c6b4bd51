"""Number and volumes of lesions against the percentiles of the SOOP cohort (1,449 cases)."""

import numpy as np
import pytest

from nnunetv2_sizepenalty.phantom.lesion_sizes import draw_volumes_ml
from nnunetv2_sizepenalty.phantom.parameters import LesionSizes

CASES = 1500


@pytest.fixture(scope="module")
def cohort():
    rng = np.random.default_rng(1)
    return [draw_volumes_ml(rng, LesionSizes()) for _ in range(CASES)]


@pytest.mark.parametrize(("percentile", "ml"), [(5, 0.30), (25, 2.0), (50, 12.7), (75, 51.9), (95, 197)])
def test_total_volume(cohort, percentile, ml):
    assert np.percentile([v.sum() for v in cohort], percentile) == pytest.approx(ml, rel=0.25)


@pytest.mark.parametrize(("percentile", "n", "tolerance"), [(25, 1, 0), (50, 2, 0), (75, 6, 1), (95, 14, 2)])
def test_number(cohort, percentile, n, tolerance):
    assert abs(np.percentile([len(v) for v in cohort], percentile) - n) <= tolerance


@pytest.mark.parametrize(("percentile", "ml"), [(25, 0.06), (50, 0.24), (75, 1.65), (90, 18.6)])
def test_volume_of_one_lesion_within_a_factor_of_1_7(cohort, percentile, ml):
    assert ml / 1.7 < np.percentile(np.concatenate(cohort), percentile) < 1.7 * ml


def test_shares(cohort):
    assert np.mean([len(v) == 1 for v in cohort]) == pytest.approx(0.32, abs=0.04)
    assert np.mean([v.sum() < 1 for v in cohort]) == pytest.approx(0.16, abs=0.04)
    # Most small lesions accompany large ones: 74 % of those below 1 mL sit in cases of 5 mL and more.
    totals = np.concatenate([np.full(len(v), v.sum()) for v in cohort])
    assert (totals[np.concatenate(cohort) < 1] >= 5).mean() == pytest.approx(0.74, abs=0.10)


def test_the_largest_comes_first_and_none_is_empty(cohort):
    for volumes in cohort:
        assert (np.diff(volumes) <= 0).all()
        assert volumes[-1] > 0
    assert max(map(len, cohort)) <= 96
