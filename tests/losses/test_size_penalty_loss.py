"""The size penalty as others would import it, against the thesis's class and formula."""

import pytest
import torch
from loss_restatement import assert_same_value_and_gradient

from nnunetv2_sizepenalty.losses import SizePenaltyLoss, build_loss


def restated(logits: torch.Tensor, mask: torch.Tensor, tau: float, smooth: float, cap: float) -> torch.Tensor:
    penalties = []
    for sample, truth in zip(logits.double().flatten(0, 1), mask.double().flatten(0, 1), strict=True):
        volume, predicted = truth.sum(), torch.sigmoid(sample).sum()
        if volume > 0:
            penalties.append(torch.exp(-volume / tau) * (predicted - volume).abs() / (volume + smooth))
    return sum(penalty if penalty < cap else cap for penalty in penalties) / max(1, len(penalties))


@pytest.mark.parametrize("spatial", [(40,), (12, 9), (5, 6, 7), (3, 4, 5, 2)], ids=lambda s: f"{len(s)}d")
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("tau", "smooth", "cap"), [(600.0, 1e-5, 10.0), (15.0, 1.0, 0.6)])
def test_equals_the_thesis_formula(spatial, channels, tau, smooth, cap):
    generator = torch.Generator().manual_seed(len(spatial))
    logits = torch.randn(4, channels, *spatial, generator=generator)
    mask = torch.rand(logits.shape, generator=generator) < 0.2
    mask[1] = False
    leaf, precise = logits.clone().requires_grad_(), logits.double().requires_grad_()
    own, expected = SizePenaltyLoss(tau, smooth, cap)(leaf, mask), restated(precise, mask, tau, smooth, cap)
    assert_same_value_and_gradient(own, expected, leaf, precise, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float32, torch.float16], ids=str)
def test_takes_masks_of_any_type(dtype):
    logits = torch.randn(2, 1, 5, 6, generator=torch.Generator().manual_seed(0))
    mask = torch.eye(5, 6).expand(2, 1, 5, 6)
    assert SizePenaltyLoss()(logits, mask.to(dtype)) == SizePenaltyLoss()(logits, mask)


def test_is_the_term_of_the_compound_loss():
    logits = torch.randn(2, 1, 5, 6, generator=torch.Generator().manual_seed(0))
    mask = torch.eye(5, 6).expand(2, 1, 5, 6)
    assert SizePenaltyLoss(50.0)(logits, mask) == build_loss("S", regions=True, tau=50.0)(logits, mask)


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"\(2, 1, 5, 6\)"):
        SizePenaltyLoss()(torch.zeros(2, 1, 5, 6), torch.zeros(2, 5, 6))
