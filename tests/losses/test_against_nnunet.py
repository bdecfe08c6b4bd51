"""DC and DK against nnU-Net's own loss objects, as its trainers build them."""

import pytest
import torch
from loss_restatement import Case
from nnunetv2.training.loss.compound_losses import DC_and_BCE_loss, DC_and_CE_loss, DC_and_topk_loss
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss

from nnunetv2_sizepenalty.losses import DeepSupervision, build_loss


def nnunet_loss(case: Case) -> torch.nn.Module:
    """nnUNetTrainer._build_loss and nnUNetTrainerDiceTopK10Loss._build_loss, without deep supervision."""
    dice = {"batch_dice": case.batch_dice, "smooth": 1e-5, "do_bg": case.regions, "ddp": False}
    if case.code == "DK":
        return DC_and_topk_loss(dice, {"k": 10, "label_smoothing": 0.0}, ignore_label=case.ignore_label)
    if case.regions:
        ignores = case.ignore_label is not None
        return DC_and_BCE_loss({}, dice, use_ignore_label=ignores, dice_class=MemoryEfficientSoftDiceLoss)
    return DC_and_CE_loss(dice, {}, ignore_label=case.ignore_label, dice_class=MemoryEfficientSoftDiceLoss)


CASES = [
    Case(code, heads, shape, "many", ignored, batch_dice, 3.0, torch.float32, "bool", 600.0)
    for code, heads in [
        *(("DC", heads) for heads in ("regions1", "regions2", "softmax2", "softmax3")),
        *(("DK", heads) for heads in ("softmax2", "softmax3")),
    ]
    for shape in ((12, 10), (6, 7, 8))
    for ignored in ("nothing", "some", "all")
    for batch_dice in (False, True)
]


@pytest.mark.filterwarnings("ignore:size_average and reduce")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_same_value_up_to_the_constant_and_same_gradient(case):
    logits, target = case.make()
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    own = build_loss(case.code, **case.options)(ours, target)
    expected = nnunet_loss(case)(theirs, target)
    torch.testing.assert_close(own, expected + 1, rtol=0, atol=1e-6)
    own.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-5, atol=1e-6 * theirs.grad.abs().max().item())


def test_deep_supervision_weighs_scales_as_nnunet_does():
    case = Case("DC", "softmax3", (8, 8), "many", "nothing", False, 3.0, torch.float32, "int16", 600.0)
    coarse = Case("DC", "softmax3", (4, 4), "many", "nothing", False, 3.0, torch.float32, "int16", 600.0)
    outputs, targets = zip(case.make(), coarse.make(), strict=True)
    weights = (2 / 3, 1 / 3)
    own = DeepSupervision(build_loss("DC", **case.options), weights)(outputs, targets)
    expected = DeepSupervisionWrapper(nnunet_loss(case), weights)(outputs, targets)
    torch.testing.assert_close(own, expected + 1, rtol=0, atol=1e-6)
