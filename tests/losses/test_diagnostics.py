"""What a training log reads off a loss."""

import pytest
import torch
from loss_restatement import WEIGHTS, has_cells, restated_terms

from nnunetv2_sizepenalty.losses import COMMON_COMBINATIONS, DeepSupervision, build_loss, logit_gradient_norms
from nnunetv2_sizepenalty.losses.target_layout import TargetLayout, complete


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Three samples: a lesion of 12 voxels, one of 1 voxel that saturates, none."""
    logits = torch.randn(3, 1, 6, 8, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(3, 1, 6, 8)
    mask[0, :, :3, :4] = 1
    mask[1, :, 0, 0] = 1
    return logits, mask


def test_record_of_a_call():
    logits, mask = batch()
    loss = build_loss("DTS", regions=True)
    assert loss.last is None
    value = loss(logits.requires_grad_(), mask)
    record = loss.last
    assert record.reference.tolist() == [[12.0], [1.0], [0.0]]
    torch.testing.assert_close(record.predicted, torch.sigmoid(logits.detach()).sum((2, 3)))
    assert record.positive.tolist() == [[True], [True], [False]]
    assert record.saturated.tolist() == [[False], [True], [False]]
    assert list(record.terms) == ["D", "T", "S"]
    torch.testing.assert_close(sum(loss.weights[letter] * term for letter, term in record.terms.items()), value)
    assert not any(tensor.requires_grad for tensor in (*record.terms.values(), record.predicted, record.reference))


def test_without_the_size_penalty_nothing_saturates():
    loss = build_loss("DC", regions=True)
    loss(*batch())
    assert loss.last.saturated is None
    assert loss.last.positive.sum() == 2


@pytest.mark.parametrize("code", COMMON_COMBINATIONS)
def test_gradient_norms_are_those_of_each_weighted_term(code):
    logits, mask = batch()
    if has_cells(code):
        mask = complete(mask, TargetLayout(logits.shape[1], regions=True))
    precise = logits.double().requires_grad_()
    expected = {}
    for letter, term in restated_terms(code, precise, mask, regions=True).items():
        weight = 1.0 if len(code) == 1 else WEIGHTS[letter]
        expected[letter] = torch.autograd.grad(weight * term, precise, retain_graph=True)[0].norm().item()
    assert logit_gradient_norms(build_loss(code, regions=True), logits, mask) == pytest.approx(expected, rel=1e-4)


def test_gradient_norms_of_half_precision_do_not_underflow():
    logits, mask = batch()
    loss = build_loss("DTS", regions=True, weights={"S": 1e-9})
    norms = logit_gradient_norms(loss, logits.half(), mask)
    assert norms["S"] == pytest.approx(
        1e-9 * logit_gradient_norms(build_loss("S", regions=True), logits, mask)["S"], 0.01
    )


def test_gradient_norms_over_scales_follow_the_current_weights():
    logits, mask = batch()
    coarse = logits[..., ::2]
    loss = DeepSupervision(build_loss("DTS", regions=True), (0.8, 0.6))
    loss.weights["S"] = 0.0
    norms = logit_gradient_norms(loss, [logits, coarse], [mask, mask[..., ::2]])
    single = build_loss("DTS", regions=True)
    fine = logit_gradient_norms(single, logits, mask)
    rough = logit_gradient_norms(single, coarse, mask[..., ::2])
    assert norms["D"] == pytest.approx(((0.8 * fine["D"]) ** 2 + (0.6 * rough["D"]) ** 2) ** 0.5, rel=1e-5)
    assert norms["S"] == 0


def test_gradient_norms_disturb_neither_record_nor_gradients():
    logits, mask = batch()
    loss = build_loss("DTS", regions=True)
    logits.requires_grad_()
    loss(logits, mask).backward()
    record, grad = loss.last, logits.grad.clone()
    with torch.no_grad():
        logit_gradient_norms(loss, logits, mask)
    assert loss.last is record
    assert torch.equal(logits.grad, grad)
