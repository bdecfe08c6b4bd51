"""The formulas on numbers that can be checked by hand."""

import math

import pytest
import torch

from nnunetv2_sizepenalty.losses import Gate, SizeTerm, formulas
from nnunetv2_sizepenalty.losses.size_penalty import is_saturated, size_penalty


def pairs(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_dice_of_half_overlap():
    assert formulas.dice(pairs(10), pairs(10), pairs(5)).item() == pytest.approx(0.5, abs=1e-6)


def test_dice_of_nothing_on_nothing_is_0():
    assert formulas.dice(pairs(0), pairs(0), pairs(0)).item() == 0


@pytest.mark.parametrize(
    ("predicted", "overlap", "expected"),
    [
        pytest.param(5.0, 5.0, 1 - 5 / (5 + 0.7 * 5), id="five missed"),
        pytest.param(15.0, 10.0, 1 - 10 / (10 + 0.3 * 5), id="five too many"),
    ],
)
def test_tversky_punishes_a_miss_more(predicted, overlap, expected):
    result = formulas.tversky(pairs(predicted), pairs(10.0), pairs(overlap))
    assert result.item() == pytest.approx(expected, abs=1e-6)


def test_size_weight_is_e_to_the_minus_1_at_tau():
    assert formulas.size_weight(pairs(600.0), 600.0).item() == pytest.approx(math.exp(-1))


@pytest.mark.parametrize(
    ("predicted", "reference", "expected"),
    [
        pytest.param(0.0, 60.0, math.exp(-0.1), id="nothing predicted costs the weight"),
        pytest.param(90.0, 60.0, math.exp(-0.1) / 2, id="half too much"),
        pytest.param(60.0, 60.0, 0.0, id="right volume"),
        pytest.param(6000.0, 60.0, 10.0, id="capped"),
    ],
)
def test_size_penalty(predicted, reference, expected):
    result = size_penalty(SizeTerm(), pairs(predicted), pairs(reference))
    assert result.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("predicted", "reference", "expected"),
    [
        pytest.param(7.0, 3.0, math.log(2), id="twice as much, a voxel added to both"),
        pytest.param(3.0, 7.0, math.log(2), id="half as much"),
        pytest.param(0.0, 7.0, math.log(8), id="nothing"),
        pytest.param(5.0, 5.0, 0.0, id="right volume"),
    ],
)
def test_log_ratio_is_symmetric(predicted, reference, expected):
    assert formulas.log_volume_ratio(pairs(predicted), pairs(reference)).item() == pytest.approx(expected)


def test_soft_cap_fades_where_the_hard_one_ends():
    penalty = pairs(0.01, 10.0, 100.0).requires_grad_()
    capped = formulas.soft_cap(penalty, 10.0)
    capped.sum().backward()
    assert capped.tolist() == pytest.approx([0.009995, 10 * (1 - math.exp(-1)), 10 * (1 - math.exp(-10))], rel=1e-5)
    assert penalty.grad.tolist() == pytest.approx([math.exp(-0.001), math.exp(-1), math.exp(-10)])


@pytest.mark.parametrize(
    ("volume", "soft", "hard"),
    [
        pytest.param(1.0, 1.0, 1.0, id="small"),
        pytest.param(100.0, 1.0, 1.0, id="at the limit"),
        pytest.param(200.0, 0.1 + 0.9 * math.exp(-1), 0.0, id="twice the limit"),
        pytest.param(1e4, 0.1, 0.0, id="large"),
    ],
)
def test_gates(volume, soft, hard):
    assert formulas.gate(pairs(volume), 100.0).item() == pytest.approx(soft)
    assert formulas.hard_gate(pairs(volume), 100.0).item() == hard


def test_gate_by_the_prediction_is_a_factor_without_a_gradient_of_its_own():
    predicted, reference = pairs(250.0).requires_grad_(), pairs(200.0)
    gated = size_penalty(SizeTerm(gate=Gate(100.0, by="predicted")), predicted, reference)
    factor = formulas.gate(pairs(250.0), 100.0)
    assert gated.item() == pytest.approx((size_penalty(SizeTerm(), predicted, reference) * factor).item())
    (slope,) = torch.autograd.grad(gated, predicted)
    assert slope.item() == pytest.approx((factor * math.exp(-1 / 3) / 200).item(), rel=1e-6)


@pytest.mark.parametrize("soft_cap", [False, True])
def test_saturated_is_where_the_cap_is_reached_whatever_comes_after_it(soft_cap):
    term = SizeTerm(tau=1e9, cap=2.0, soft_cap=soft_cap, gate=Gate(1.0, hard=True))
    assert is_saturated(term, pairs(29.0, 31.0), pairs(10.0, 10.0)).tolist() == [False, True]


@pytest.mark.parametrize(
    ("penalty", "gradient"),
    [
        pytest.param(9.999, 1.0, id="below the cap"),
        pytest.param(10.0, 0.0, id="at the cap"),
        pytest.param(11.0, 0.0, id="above the cap"),
    ],
)
def test_hard_cap_has_no_gradient_once_reached(penalty, gradient):
    penalty = pairs(penalty).requires_grad_()
    formulas.hard_cap(penalty, 10.0).sum().backward()
    assert penalty.grad.item() == gradient


def test_slope_of_the_focal_term_is_its_derivative_by_the_cross_entropy():
    entropy = torch.linspace(0.01, 9, 50, dtype=torch.float64)
    step = 1e-6

    def value(e: torch.Tensor) -> torch.Tensor:
        return formulas.focal(-torch.expm1(-e), e.clone())[0]

    slope = formulas.focal(-torch.expm1(-entropy), entropy.clone())[1]
    numeric = (value(entropy + step) - value(entropy - step)) / (2 * step)
    torch.testing.assert_close(slope, numeric, rtol=1e-6, atol=1e-8)


def test_entropy_is_exact_where_the_probability_is_tiny():
    wrong = torch.logspace(-30, -0.001, 3000)
    expected = -torch.log1p(-wrong.double())
    torch.testing.assert_close(formulas.entropy_of(wrong).double(), expected, rtol=3e-5, atol=0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param(torch.arange(20.0), 18.5, id="two of twenty"),
        pytest.param(torch.tensor([[1.0, 3.0]]), 3.0, id="at least one"),
    ],
)
def test_top_share(values, expected):
    assert formulas.top_share(values).item() == expected
