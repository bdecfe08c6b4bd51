"""Calibration in counts that add up: against numpy and scikit-learn on the voxels themselves."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from nnunetv2_sizepenalty.curves.calibration import (
    CalibrationCounts,
    count_calibration,
    expected_calibration_error,
    lesion_neighbourhood,
    mean_average_precision,
    pooled_average_precision,
    reliability_curve,
    volume_ratios,
)

SPACING_MM = (4.0, 1.0, 2.0)


@pytest.fixture(scope="module")
def cases():
    """Three cases of which the last is lesion-free."""
    made = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        reference = np.zeros((6, 30, 20), bool)
        if seed < 2:
            reference[2, 10 : 12 + seed, 5:9] = True
        logit = rng.normal(-3, 2, reference.shape) + 5 * reference
        made.append(((1 / (1 + np.exp(-logit))).astype(np.float32), reference))
    return made


def test_the_neighbourhood_is_a_distance_in_millimetres():
    reference = np.zeros((7, 41, 21), bool)
    reference[3, 20, 10] = reference[3, 22, 10] = True
    near = lesion_neighbourhood(reference, SPACING_MM, 8.0)
    z, y, x = np.indices(reference.shape)
    distance = [np.hypot(np.hypot(4 * (z - 3), y - at), 2 * (x - 10)) for at in (20, 22)]
    assert (near == (np.minimum(*distance) <= 8)).all()
    assert not lesion_neighbourhood(np.zeros_like(reference), SPACING_MM).any()


def test_the_curve_and_its_error_are_those_of_the_voxels_near_lesions(cases):
    counted = [count_calibration(p, y, SPACING_MM) for p, y in cases]
    near = [lesion_neighbourhood(y, SPACING_MM) for _, y in cases]
    p = np.concatenate([p[n] for (p, _), n in zip(cases, near, strict=True)]).astype(float)
    y = np.concatenate([y[n] for (_, y), n in zip(cases, near, strict=True)])
    curve = reliability_curve(counted)
    assert sum(curve.voxels) == len(p)
    bins = np.digitize(p, np.arange(1, 20) / 20)
    error = 0.0
    for row, index in enumerate(np.unique(bins)):
        inside = bins == index
        assert curve.probability[row] == pytest.approx(p[inside].mean(), abs=1e-9)
        assert curve.observed[row] == pytest.approx(y[inside].mean(), abs=1e-12)
        error += inside.mean() * abs(p[inside].mean() - y[inside].mean())
    assert expected_calibration_error(curve) == pytest.approx(error, abs=1e-9)


def test_average_precision_per_case_and_pooled(cases):
    counted = [count_calibration(p, y, SPACING_MM) for p, y in cases]
    expected = [average_precision_score(y.ravel(), p.ravel()) for p, y in cases[:2]]
    value, n = mean_average_precision(counted)
    assert (value, n) == (pytest.approx(np.mean(expected)), 2)
    p, y = (np.concatenate([case[i].ravel() for case in cases]) for i in (0, 1))
    assert pooled_average_precision(counted) == pytest.approx(average_precision_score(y, p), abs=2e-3)


def test_certain_probabilities_are_counted():
    p = np.array([[[0, 1, 1, 0]]], np.float32)
    counted = count_calibration(p, p > 0, (1, 1, 1))
    assert pooled_average_precision([counted]) == 1
    assert expected_calibration_error(reliability_curve([counted])) == 0


def test_volumes_are_summed_per_size_of_the_case():
    def case(reference_voxels, probability):
        reference = np.zeros((1, 1, 2000), bool)
        reference[..., :reference_voxels] = True
        p = np.where(reference, probability, 0).astype(np.float32)
        return count_calibration(p, reference, (1, 1, 1))

    rows = {r.size: r for r in volume_ratios([case(100, 0.75), case(300, 0.75), case(1500, 0.25), case(0, 0)])}
    assert rows["< 1 mL"].cases == 2
    assert rows["< 1 mL"].soft_to_hard == pytest.approx(0.75)
    assert rows["< 1 mL"].soft == pytest.approx(0.3)
    assert rows["1-5 mL"].soft_to_reference == pytest.approx(0.25)
    assert np.isnan(rows["1-5 mL"].soft_to_hard)  # nothing above one half
    assert rows["none"].cases == 1
    assert rows[">= 5 mL"].cases == 0


def test_voxels_of_unknown_reference_are_left_out(cases):
    p, y = cases[0]
    valid = np.ones(y.shape, bool)
    valid[3:] = False
    inside, whole = count_calibration(p[:3], y[:3], SPACING_MM), count_calibration(p, y, SPACING_MM, valid)
    assert (inside.soft, inside.hard, inside.reference) == (whole.soft, whole.hard, whole.reference)
    assert whole.average_precision == inside.average_precision
    assert (inside.near_voxels == whole.near_voxels).all()


def test_counts_survive_being_stored(cases):
    counted = count_calibration(*cases[0], SPACING_MM)
    again = CalibrationCounts(**counted.as_arrays())
    assert pooled_average_precision([again]) == pooled_average_precision([counted])
    assert volume_ratios([again])[1] == volume_ratios([counted])[1]
