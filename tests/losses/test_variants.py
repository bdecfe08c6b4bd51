"""Variants of the size penalty and of its weight, against the float64 restatement and on cases known by hand."""

import pytest
import torch
from loss_restatement import assert_equals_restatement, gates, variant_cases

from nnunetv2_sizepenalty.losses import DeepSupervision, Gate, build_loss, logit_gradient_norms

CASES = variant_cases(
    code=("SD", "DTS", "DTFS", "FS", "DCS", "DKS"),
    heads=("regions1", "regions2", "softmax2", "softmax3"),
    shape=((9, 8), (5, 6, 7)),
    lesions=("many", "few", "first sample", "none"),
    ignored=("nothing", "some"),
    batch_dice=(False, True),
    scale=(1.0, 5.0),
    dtype=(torch.float32, torch.float16, torch.bfloat16, torch.float64),
    target_dtype=("int16",),
    tau=(600.0, 20.0),
    log_ratio=(False, True),
    soft_cap=(False, True),
    gate=gates(20.0),
    weighting=("fixed", "balanced", "learned"),
)


@pytest.mark.parametrize(("case", "variant"), CASES.values(), ids=CASES)
def test_value_and_gradient_equal_the_restatement(case, variant):
    assert_equals_restatement(case, **variant)


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Four samples with 12, 40, 1 and no voxels of lesion; logits near the prior, so that no S is at its cap."""
    logits = torch.randn(4, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0)) - 3
    mask = torch.zeros(4, 1, 4, 8, 8)
    mask[0, :, 0, :3, :4] = 1
    mask[1, :, 0, :5] = 1
    mask[2, :, 0, 0, 0] = 1
    return logits, mask


@pytest.mark.parametrize("share", [0.3, 0.1])
@pytest.mark.parametrize("code", ["SD", "DTS", "DTFS", "DKS"])
def test_balanced_holds_the_gradient_at_its_share(code, share):
    logits, mask = batch()
    loss = build_loss(code, regions=True, weighting="balanced", weights={"S": share}, cap=1e6)
    norms = logit_gradient_norms(loss, logits, mask)
    assert norms["S"] / sum(norm for letter, norm in norms.items() if letter != "S") == pytest.approx(share, rel=1e-5)


def test_balanced_over_scales():
    logits, mask = batch()
    loss = DeepSupervision(build_loss("DTS", regions=True, weighting="balanced", cap=1e6), (0.8, 0.2))
    scales = [logits, logits[..., ::2]], [mask, mask[..., ::2]]
    norms = logit_gradient_norms(loss, *scales)
    weighted = dict.fromkeys("DTS", 0.0)
    for weight, x, y in zip((0.8, 0.2), *scales, strict=True):
        ratio = x.numel() / logits.numel()
        single = build_loss("DTS", regions=True, weighting="balanced", cap=1e6, tau=600.0 * ratio)
        for letter, norm in logit_gradient_norms(single, x, y).items():
            weighted[letter] += (weight * norm) ** 2
    assert norms == pytest.approx({letter: square**0.5 for letter, square in weighted.items()}, rel=1e-4)


def test_balanced_without_a_gradient_of_s_keeps_the_share():
    logits, mask = batch()
    loss = build_loss("SD", regions=True, weighting="balanced")
    value = loss(torch.zeros_like(logits[2:]).requires_grad_(), mask[2:])  # at the cap, or without a lesion
    assert loss.last.size_weight == pytest.approx(0.3)
    assert value.item() == pytest.approx(loss.last.terms["D"].item() + 0.3 * 10)


def test_balanced_does_not_undo_that_large_lesions_count_little():
    logits, mask = batch()
    loss = build_loss("SD", regions=True, weighting="balanced", tau=1.0)
    value = loss(logits[1:2].requires_grad_(), mask[1:2])  # exp(-40) of a penalty
    assert loss.last.size_weight.item() == 10
    assert value.item() == pytest.approx(loss.last.terms["D"].item())


def test_learned_weight_starts_at_lambda_and_is_trained():
    logits, mask = batch()
    loss = build_loss("DTS", regions=True, weighting="learned", weights={"S": 0.2})
    assert [name for name, _ in loss.named_parameters()] == ["learned.log_variance"]
    loss(logits, mask).backward()
    assert loss.last.size_weight.item() == pytest.approx(0.2)
    # d/ds (exp(-s) S + s)
    assert loss.learned.log_variance.grad.item() == pytest.approx(1 - 0.2 * loss.last.terms["S"].item(), rel=1e-5)


@pytest.mark.parametrize("weighting", ["fixed", "balanced", "learned"])
def test_a_batch_without_a_lesion_gives_nothing(weighting):
    logits, mask = batch()
    logits = logits[3:].requires_grad_()
    loss = build_loss("SD", regions=True, weighting=weighting, log_ratio=True, soft_cap=True, gate=Gate(5.0))
    size = loss.weighted_terms(logits, mask[3:])["S"]
    size.backward()
    assert size.item() == 0
    assert logits.grad.abs().max() == 0
    if loss.learned is not None:
        assert loss.learned.log_variance.grad == 0


@pytest.mark.parametrize(
    ("code", "weighting", "message"),
    [
        ("DT", "balanced", "not among"),
        ("DT", "learned", "not among"),
        ("S", "balanced", "no partners"),
        ("DTS", "other", "none of fixed, balanced, learned"),
    ],
)
def test_weighting_must_make_sense(code, weighting, message):
    with pytest.raises(ValueError, match=message):
        build_loss(code, regions=True, weighting=weighting)


def lesion_batch(voxels: int, bias: float, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    """One sample with one lesion of so many voxels, which the network half sees on a background of `bias`."""
    mask = torch.zeros(1, 1, 8, 16, 16)
    mask.view(-1)[:voxels] = 1
    return (bias + (bias < -1) * (-1 - bias) * mask).to(dtype), mask


@pytest.mark.parametrize("voxels", [1, 2, 3, 10, 100, 700])
@pytest.mark.parametrize("bias", [-12.0, -9.0, -7.0, -5.0, -3.0])
@pytest.mark.parametrize("variant", [{}, {"log_ratio": True}, {"soft_cap": True}, {"weights": {"S": 3.0}}], ids=str)
def test_balanced_bounds_the_largest_gradient(voxels, bias, variant):
    logits, mask = lesion_batch(voxels, bias)
    loss = build_loss("DTS", regions=True, weighting="balanced", **variant)
    (gradient,) = torch.autograd.grad(loss.weighted_terms(logits.requires_grad_(), mask)["S"], logits)
    assert gradient.abs().max() < 0.5


def test_balanced_of_one_voxel_does_not_overflow_float16_at_the_first_loss_scale():
    logits, mask = lesion_batch(1, -12.0, torch.float16)
    loss = build_loss("DTS", regions=True, weighting="balanced", weights={"S": 3.0})
    (65536 * loss(logits.requires_grad_(), mask)).backward()
    assert logits.grad.dtype == torch.float16
    assert logits.grad.isfinite().all()
    assert loss.last.size_weight < 10  # it would be 10 by the norms alone
