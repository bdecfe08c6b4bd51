"""Figures of all cases together, against the evaluation's own and swaps by hand."""

import numpy as np
import pandas as pd
import pytest

from nnunetv2_sizepenalty.comparison.contrast import contrast_pooled
from nnunetv2_sizepenalty.comparison.patients import PatientBlocks
from nnunetv2_sizepenalty.comparison.pooled import POOLED
from nnunetv2_sizepenalty.comparison.sign_flip import sign_patterns
from nnunetv2_sizepenalty.evaluation.tables import pooled

N = 8


def table(seed, n=N):
    rng = np.random.default_rng(seed)
    volumes = np.random.default_rng(0).uniform(0, 20, n) * (np.arange(n) != 2)
    found = rng.integers(0, 3, n)
    return pd.DataFrame(
        {
            "reference_ml": volumes,
            "prediction_ml": volumes * rng.uniform(0.5, 1.5, n),
            "dice": np.where(volumes > 0, rng.uniform(0.2, 0.9, n), np.nan),
            "n_reference": 3.0,
            "missed": 3.0 - found,
            "n_prediction": 3.0,
            "false_positives": 1.0,
            "false_positive_ml": 0.1,
        }
    )


@pytest.mark.parametrize("name", POOLED)
def test_it_is_the_evaluations_own_figure(name):
    cases = table(1)
    blocks = PatientBlocks.from_names(range(N))
    ours, own = POOLED[name].estimate([cases], blocks), pooled(cases)[name]
    assert ours.value == pytest.approx(own.value)
    assert (ours.low, ours.high) == pytest.approx((own.low, own.high), abs=0.1)


@pytest.mark.parametrize("name", POOLED)
def test_cases_swap_their_models(name):
    first, second = table(1), table(2)
    found = contrast_pooled(POOLED[name], [first], [second], PatientBlocks.from_names(range(N)))
    patterns = sign_patterns(N)
    for pattern in (patterns[0], patterns[37]):
        swap = np.repeat(pattern[:, None] < 0, first.shape[1], axis=1)
        a, b = first.where(~swap, second), second.where(~swap, first)
        difference = pooled(b)[name].value - pooled(a)[name].value
        assert found.under(pattern[None])[0] == pytest.approx(difference)


def test_repeats_are_taken_together():
    first, second = table(1), table(2)
    blocks = PatientBlocks.from_names(range(N))
    both = POOLED["lesion_sensitivity"].estimate([first, second], blocks).value
    assert both == pytest.approx(1 - (first["missed"].sum() + second["missed"].sum()) / (6 * N))


def test_one_case_has_no_concordance():
    cases = table(1, n=1)
    estimate = POOLED["lin_ccc"].estimate([cases], PatientBlocks.from_names(range(1)))
    assert np.isnan(estimate.value)
