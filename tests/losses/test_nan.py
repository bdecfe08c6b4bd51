"""A network that went NaN must show in the loss: no cap may turn it into a number."""

import pytest
import torch
from loss_restatement import Case, with_cells

from nnunetv2_sizepenalty.losses import DeepSupervision, Gate, SizePenaltyLoss, build_loss

VARIANTS = {
    "hard": {},
    "soft": {"soft_cap": True},
    "log": {"log_ratio": True},
    "gates": {"gate": Gate(5.0, by="predicted", hard=True)},
    "balanced": {"weighting": "balanced"},
    "learned": {"weighting": "learned"},
}


def broken_batch(heads: str, per_lesion: bool) -> tuple[Case, torch.Tensor, torch.Tensor]:
    """Two samples, of which the first holds a NaN logit on a lesion."""
    case = Case("DTS", heads, (5, 6, 7), "many", "nothing", False, 1.0, torch.float32, "int32", 600.0)
    logits, target = case.make()
    logits[0, :, target[0, 0] > 0] = torch.nan
    return case, logits, with_cells(case, target) if per_lesion else target


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize("per_lesion", [False, True], ids=["patch", "lesion"])
@pytest.mark.parametrize("heads", ["regions1", "softmax2", "softmax3"])
def test_nan_logits_make_s_and_the_loss_nan(heads, per_lesion, variant):
    case, logits, target = broken_batch(heads, per_lesion)
    loss = build_loss("DTS", regions=case.regions, per_lesion=per_lesion, **variant)
    assert loss(logits.requires_grad_(), target).isnan()
    assert loss.last.terms["S"].isnan()
    assert DeepSupervision(loss, (1.0,))([logits], [target]).isnan()


@pytest.mark.parametrize("per_lesion", [False, True], ids=["patch", "lesion"])
def test_nan_is_not_at_the_cap_but_of_what_is_penalised(per_lesion):
    _, logits, target = broken_batch("regions1", per_lesion)
    loss = build_loss("S", regions=True, per_lesion=per_lesion, tau=1e6, cap=1e-6)  # the other sample reaches it
    loss(logits, target)
    assert loss.last.penalised.all()
    assert 0 < loss.last.saturated.sum() < loss.last.saturated.numel()
    healthy = build_loss("S", regions=True, per_lesion=per_lesion, tau=1e6, cap=1e-6)
    healthy(logits.nan_to_num(), target)
    assert healthy.last.saturated.all()


@pytest.mark.parametrize("cap", [1e-6, 10.0, 1e6])
def test_nan_stays_nan_in_the_loss_alone(cap):
    mask = torch.eye(5, 6).expand(2, 1, 5, 6)
    logits = torch.zeros(2, 1, 5, 6)
    assert SizePenaltyLoss(cap=cap)(logits, mask).isfinite()
    logits[1, 0, 2, 3] = torch.nan
    assert SizePenaltyLoss(cap=cap)(logits, mask).isnan()


def test_nan_where_there_is_no_lesion_does_not_touch_s():
    mask = torch.zeros(2, 1, 5, 6)
    mask[0, 0, 0, 0] = 1
    logits = torch.zeros(2, 1, 5, 6)
    expected = SizePenaltyLoss()(logits, mask)
    logits[1] = torch.nan
    assert SizePenaltyLoss()(logits, mask) == expected
