import pytest
import torch
from torch import nn

from nnunetv2_sizepenalty.architectures.attention_gate import AttentionGate


@pytest.mark.parametrize(
    ("conv_op", "norm_op", "size"),
    [(nn.Conv3d, nn.InstanceNorm3d, (4, 5, 6)), (nn.Conv2d, nn.BatchNorm2d, (5, 6)), (nn.Conv3d, None, (2, 2, 2))],
)
def test_the_map_is_between_0_and_1_and_scales_the_skip(conv_op, norm_op, size):
    torch.manual_seed(0)
    gate = AttentionGate(6, conv_op, norm_op, {"affine": True})
    gating, skip = 3 * torch.randn(2, 2, 6, *size)
    weights = gate.attention(gating, skip)
    assert weights.shape == (2, 1, *size)
    assert weights.min() > 0
    assert weights.max() < 1
    assert weights.std() > 0
    torch.testing.assert_close(gate(gating, skip), skip * weights)


def test_maps_of_different_inputs_have_different_means():
    """What a norm on the one-channel psi would take away: the gate could never open or close as a whole."""
    torch.manual_seed(0)
    gate = AttentionGate(6, nn.Conv3d, nn.InstanceNorm3d, {"affine": True})
    nn.init.constant_(gate.psi.bias, -4.0)
    assert gate.attention(*torch.randn(2, 1, 6, 4, 4, 4)).mean() < 0.2


@pytest.mark.parametrize("norm_op", [nn.InstanceNorm3d, None])
def test_gradient_reaches_skip_and_gating_signal(norm_op):
    torch.manual_seed(0)
    gate = AttentionGate(6, nn.Conv3d, norm_op, {"affine": True})
    gating, skip = (torch.randn(1, 6, 3, 4, 4, requires_grad=True) for _ in range(2))
    gate(gating, skip).square().sum().backward()
    assert gating.grad.abs().sum() > 0
    assert skip.grad.abs().sum() > 0
