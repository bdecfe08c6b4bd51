"""Several scales: weights, tau, and which of them are computed."""

import pytest
import torch
from torch.nn.functional import interpolate

from nnunetv2_sizepenalty.losses import DeepSupervision, SizeTerm, build_loss
from nnunetv2_sizepenalty.losses.size_penalty import size_penalty


def scales(lesions: bool = True) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    mask = torch.zeros(2, 1, 8, 16, 16)
    if lesions:
        mask[0, :, :4, :4, :8] = 1
        mask[1, :, :2, :2, :2] = 1
    shapes = [(8, 16, 16), (8, 8, 8), (4, 4, 4)]
    outputs = [torch.randn(2, 1, *shape, generator=generator) for shape in shapes]
    return outputs, [interpolate(mask, shape, mode="nearest-exact") for shape in shapes]


def test_is_the_weighted_sum_with_tau_scaled_by_the_voxels():
    outputs, targets = scales()
    weights, ratios = (0.5, 0.3, 0.2), (1, 1 / 4, 1 / 32)
    own = DeepSupervision(build_loss("DTFS", regions=True, tau=100.0), weights)(outputs, targets)
    expected = sum(
        weight * build_loss("DTFS", regions=True, tau=100.0 * ratio)(output, target)
        for weight, ratio, output, target in zip(weights, ratios, outputs, targets, strict=True)
    )
    torch.testing.assert_close(own, expected)


def test_the_same_lesion_weighs_the_same_at_every_scale():
    term = SizeTerm(tau=100.0)
    fine = size_penalty(term, torch.tensor([[0.0]]), torch.tensor([[128.0]]))
    coarse = size_penalty(term, torch.tensor([[0.0]]), torch.tensor([[32.0]]), voxel_ratio=1 / 4)
    torch.testing.assert_close(fine, coarse, rtol=1e-5, atol=0)


def test_scales_of_weight_0_are_not_computed():
    outputs, targets = scales()
    loss = DeepSupervision(build_loss("DTS", regions=True), (0.7, 0.3, 0.0))
    expected = loss(outputs, targets)
    outputs[2].fill_(torch.nan)
    assert loss(outputs, targets) == expected


def test_last_is_the_finest_scale():
    outputs, targets = scales()
    loss = DeepSupervision(build_loss("DTS", regions=True), (0.7, 0.2, 0.1))
    loss(outputs, targets)
    assert loss.last.reference.tolist() == [[128.0], [8.0]]


@pytest.mark.parametrize("weights", [(), (0.0, 0.0), (float("nan"),)])
def test_a_scale_must_count(weights):
    with pytest.raises(ValueError, match="finite and not all 0"):
        DeepSupervision(build_loss("DTS", regions=True), weights)
