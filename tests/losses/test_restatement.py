"""Every combination against the float64 restatement: heads, dimensions, ignored voxels, types, all together."""

import pytest
import torch
from loss_restatement import Case, pairwise, restated_loss

from nnunetv2_sizepenalty.losses import COMBINATIONS, build_loss, rows

CASES = [
    Case(**row)
    for row in pairwise(
        code=COMBINATIONS,
        heads=("regions1", "regions2", "softmax2", "softmax3", "softmax4"),
        shape=((9, 8), (5, 6, 7)),
        lesions=("many", "few", "first sample", "none"),
        ignored=("nothing", "some", "all"),
        batch_dice=(False, True),
        scale=(1.0, 5.0, 60.0),
        dtype=(torch.float32, torch.float16, torch.bfloat16, torch.float64),
        target_dtype=("float32", "int16", "bool", "int64"),
        tau=(600.0, 20.0),
    )
]


def unit_in_last_place(values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    info = torch.finfo(dtype)
    exponent = torch.floor(torch.log2(values.abs().clamp(min=info.tiny)))
    return torch.exp2(exponent) * info.eps


def compare(case: Case) -> None:
    logits, target = case.make()
    precise = logits.double().requires_grad_()
    expected = restated_loss(case.code, precise, target, **case.options)
    (expected_gradient,) = torch.autograd.grad(expected, precise)

    logits.requires_grad_()
    loss = build_loss(case.code, **case.options)(logits, target)
    loss.backward()

    assert loss.dtype == (torch.float64 if case.dtype == torch.float64 else torch.float32)
    assert torch.isfinite(loss)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-4, atol=1e-6)
    assert logits.grad.dtype == case.dtype
    error = (logits.grad.double() - expected_gradient).abs()
    if case.dtype in (torch.float16, torch.bfloat16):
        allowed = unit_in_last_place(expected_gradient, case.dtype)
    else:
        allowed = 1e-4 * expected_gradient.abs()
    # where p is 1 to the last digit of a float64, the restatement's own 1 - p is noise
    allowed += 1e-12 * expected_gradient.abs().max()
    assert (error <= allowed).all(), f"error {error.max():.3g} where {expected_gradient.abs().max():.3g} is largest"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_value_and_gradient_equal_the_restatement(case):
    compare(case)


@pytest.mark.parametrize("case", CASES[::2], ids=str)
def test_dense_formula_of_accelerators_equals_the_restatement(case, monkeypatch):
    monkeypatch.setattr(rows, "are_cheap_to_find", lambda x: False)
    compare(case)


def test_every_pair_of_levels_is_among_the_cases():
    assert {case.code for case in CASES} == set(COMBINATIONS)
    assert len({(case.code, case.heads) for case in CASES}) == 19 * 5
    assert len({(case.dtype, case.ignored) for case in CASES}) == 4 * 3
