import pytest
import torch
from torch import nn

from nnunetv2_sizepenalty.architectures import planned_dilations
from nnunetv2_sizepenalty.architectures.aspp import ASPP

THICK_SLICES = [(1, 1, 1), (1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2)]


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        pytest.param((32, 128, 128), [[2, 2, 2], [4, 4, 4], [6, 6, 6]], id="8x8x8"),
        pytest.param((32, 112, 112), [[2, 2, 2], [4, 4, 4], [6, 6, 6]], id="8x7x7"),
        pytest.param((8, 128, 64), [[1, 2, 2], [1, 4, 3], [1, 6, 3]], id="2x8x4"),
        pytest.param((3, 17, 128), [[1, 1, 2], [1, 1, 4], [1, 1, 6]], id="1x2x8-odd"),
    ],
)
def test_planned_dilations_are_capped_per_axis(patch, expected):
    assert planned_dilations(patch, THICK_SLICES) == expected


def build(dilations=None, conv_op=nn.Conv3d, norm_op=nn.InstanceNorm3d):
    torch.manual_seed(0)
    kwargs = {"affine": True}
    return ASPP(8, 12, conv_op, 3, False, norm_op, kwargs, nn.LeakyReLU, {"inplace": True}, dilations)


def trained_taps(aspp, size):
    """Per dilated branch, the kernel's taps that get a gradient."""
    aspp(torch.randn(2, 8, *size)).square().sum().backward()
    return [int(branch.conv.weight.grad.abs().sum(dim=(0, 1)).count_nonzero()) for branch in aspp.dilated]


@pytest.mark.parametrize("dilations", [None, "planned"])
@pytest.mark.parametrize(
    ("size", "taps"), [((8, 8, 8), 27), ((2, 8, 8), 27), ((2, 3, 4), 27), ((1, 8, 8), 9), ((1, 1, 2), 3)]
)
def test_every_tap_that_can_see_the_map_is_trained(size, taps, dilations):
    if dilations == "planned":
        dilations = planned_dilations(size, [(1, 1, 1)])
    assert trained_taps(build(dilations), size) == [taps] * 3


def test_given_dilations_are_kept_whatever_map_comes_in():
    """One set of weights must not see other neighbours on a smaller patch of the same plan."""
    assert trained_taps(build([[2, 2, 2], [4, 4, 4], [6, 6, 6]]), (8, 4, 4)) == [27, 3, 3]


def test_number_of_branches_follows_the_dilations():
    aspp = build([1, 3])
    assert len(aspp.dilated) == 2
    assert aspp(torch.randn(2, 8, 4, 4, 4)).shape == (2, 12, 4, 4, 4)


@pytest.mark.parametrize(
    ("conv_op", "norm_op", "size"),
    [
        (nn.Conv3d, nn.InstanceNorm3d, (1, 1, 2)),
        (nn.Conv2d, nn.InstanceNorm2d, (2, 1)),
        (nn.Conv3d, nn.BatchNorm3d, (1, 1, 2)),
        (nn.Conv3d, None, (1, 1, 1)),
    ],
)
def test_batch_of_one_on_the_smallest_map_trains(conv_op, norm_op, size):
    aspp = build(conv_op=conv_op, norm_op=norm_op).train()
    aspp(torch.randn(1, 8, *size)).sum().backward()
    assert all(parameter.grad is not None for parameter in aspp.parameters())


def test_the_pooled_branch_carries_one_end_of_the_map_to_the_other():
    aspp = build([1], norm_op=None).eval()
    x = torch.randn(1, 8, 12, 4, 4)
    changed = x.clone()
    changed[:, :, 0] += 5
    with torch.no_grad():
        assert not torch.allclose(aspp(x)[:, :, -1], aspp(changed)[:, :, -1])


@pytest.mark.parametrize("dilations", [[[1, 2]], [0], [[1, 1, 0]]])
def test_wrong_dilations_are_refused(dilations):
    with pytest.raises(ValueError, match="aspp_dilations"):
        build(dilations)
