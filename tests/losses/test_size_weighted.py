"""The weighted cross-entropy as others would import it, against its formula with a loop over components."""

import math

import numpy as np
import pytest
import torch
from loss_restatement import assert_same_value_and_gradient
from scipy.ndimage import generate_binary_structure, label

from nnunetv2_sizepenalty.losses import SizeWeightedCrossEntropy


def weights_of(mask: np.ndarray, strength: float, tau: float) -> np.ndarray:
    components, n = label(mask, generate_binary_structure(mask.ndim, min(2, mask.ndim)))
    weights = np.ones(mask.shape)
    for k in range(1, n + 1):
        weights[components == k] += strength * math.exp(-(components == k).sum() / tau)
    return weights


def restated(logits: torch.Tensor, target: torch.Tensor, strength: float, tau: float) -> torch.Tensor:
    x, values = logits.double(), []
    for sample, truth in zip(x, target.long(), strict=True):
        if target.shape == logits.shape:
            entropy = torch.where(truth == 1, torch.log1p(torch.exp(-sample)), torch.log1p(torch.exp(sample)))
            weight = np.stack([weights_of(mask, strength, tau) for mask in truth.numpy()])
        else:
            entropy = -torch.log_softmax(sample, 0).gather(0, truth)
            of_class = [weights_of(truth[0].numpy() == k, strength, tau) for k in range(1, len(sample))]
            weight = np.maximum.reduce(of_class)[None]
        values.append((torch.from_numpy(weight) * entropy).flatten())
    return torch.cat(values).mean()


def draw(spatial: tuple[int, ...], channels: int, labels: bool) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(len(spatial))
    logits = 2 * torch.randn(3, channels, *spatial, generator=generator)
    target = torch.rand(logits.shape, generator=generator) < 0.15
    target[1] = False
    if labels:
        target = (target * torch.arange(channels).view(-1, *(1,) * len(spatial))).amax(1, keepdim=True)
    return logits, target


@pytest.mark.parametrize("spatial", [(40,), (12, 9), (5, 6, 7)], ids=lambda s: f"{len(s)}d")
@pytest.mark.parametrize(("channels", "labels"), [(1, False), (3, False), (2, True), (4, True)])
@pytest.mark.parametrize(("strength", "tau"), [(4.0, 600.0), (0.5, 3.0)])
def test_equals_the_formula(spatial, channels, labels, strength, tau):
    logits, target = draw(spatial, channels, labels)
    leaf, precise = logits.clone().requires_grad_(), logits.double().requires_grad_()
    own, expected = SizeWeightedCrossEntropy(strength, tau)(leaf, target), restated(precise, target, strength, tau)
    assert_same_value_and_gradient(own, expected, leaf, precise, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float32, torch.float16], ids=str)
def test_takes_masks_of_any_type(dtype):
    logits, mask = draw((5, 6), 1, labels=False)
    assert SizeWeightedCrossEntropy()(logits, mask.to(dtype)) == SizeWeightedCrossEntropy()(logits, mask)


def test_takes_labels_without_a_channel():
    logits, labels = draw((5, 6), 3, labels=True)
    assert SizeWeightedCrossEntropy()(logits, labels[:, 0]) == SizeWeightedCrossEntropy()(logits, labels)


@pytest.mark.parametrize("shape", [(3, 1, 6, 5), (3, 2, 5, 6), (2, 5, 6)], ids=str)
def test_a_target_of_another_shape_is_refused(shape):
    logits, _ = draw((5, 6), 3, labels=True)
    with pytest.raises(ValueError, match="do not fit"):
        SizeWeightedCrossEntropy()(logits, torch.zeros(shape))


def test_more_dimensions_are_refused():
    with pytest.raises(ValueError, match="one to three"):
        SizeWeightedCrossEntropy()(torch.zeros(1, 1, 2, 2, 2, 2), torch.zeros(1, 1, 2, 2, 2, 2))


@pytest.mark.parametrize("strength", [0.0, -1.0])
def test_a_weight_that_is_not_positive_is_refused(strength):
    with pytest.raises(ValueError, match="positive"):
        SizeWeightedCrossEntropy(strength)
