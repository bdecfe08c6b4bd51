"""The heads' bias at the prior log-odds gives the prior as the network's probability."""

import numpy as np
import pytest
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from torch import nn

from nnunetv2_sizepenalty.trainers.prior_bias import prior_log_odds, set_head_bias


@pytest.mark.parametrize("prior", [[0.01], [0.2, 0.001], [0.0, 0.3]])
def test_sigmoid_of_the_bias_is_the_prior(prior):
    logits = torch.tensor(prior_log_odds(np.array(prior), regions=True))
    np.testing.assert_allclose(torch.sigmoid(logits), prior, atol=2e-6)


@pytest.mark.parametrize("prior", [[0.01], [0.2, 0.001], [0.0, 0.3]])
def test_softmax_of_the_bias_is_the_prior(prior):
    logits = torch.tensor(prior_log_odds(np.array(prior), regions=False))
    np.testing.assert_allclose(torch.softmax(logits, 0), [1 - sum(prior), *prior], atol=2e-6)


def network(classes: int) -> nn.Module:
    return PlainConvUNet(1, 3, [2, 4, 4], nn.Conv2d, 3, [1, 2, 2], 1, classes, 1, conv_bias=True, deep_supervision=True)


def test_all_heads_start_at_the_prior():
    torch.manual_seed(0)
    model = network(2)
    for head in model.decoder.seg_layers:
        nn.init.zeros_(head.weight)
    set_head_bias(model, prior_log_odds(np.array([0.02]), regions=False))
    for output in model(torch.randn(1, 1, 16, 16)):
        np.testing.assert_allclose(torch.softmax(output, 1)[:, 1].detach(), 0.02, rtol=1e-5)


@pytest.mark.parametrize("model", [nn.Conv2d(1, 2, 1), network(3)], ids=["no heads", "other heads"])
def test_a_network_without_such_heads_is_refused(model):
    with pytest.raises(ValueError, match="no bias of 2 channels"):
        set_head_bias(model, np.zeros(2))
