"""`_priorbias`: the network starts by predicting each class as often as the training patches hold it."""

from collections.abc import Sequence

import numpy as np
import torch
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetBaseDataset
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from torch import nn

from nnunetv2_sizepenalty.sampling.patch_volumes import PatchKind, draw_patch_volumes, foreground_prior
from nnunetv2_sizepenalty.trainers.network import unwrapped
from nnunetv2_sizepenalty.trainers.processes import from_first_process

# of a class that the patches that were drawn happen not to hold
SMALLEST_PRIOR = 1e-6


def prior_log_odds(prior: np.ndarray, regions: bool) -> np.ndarray:
    """Logits whose probabilities are `prior` (Lin et al. 2017, section 3.3, for detectors).

    Args:
        prior: share of the voxels that each region or foreground class takes, float (channels,).
        regions: heads are regions under a sigmoid, else a softmax with background first.

    Returns:
        Float (channels,); with a softmax (1 + channels,).
    """
    prior = np.clip(prior, SMALLEST_PRIOR, 1 - SMALLEST_PRIOR)
    if regions:
        return np.log(prior) - np.log1p(-prior)
    return np.log(np.concatenate([[max(1 - prior.sum(), SMALLEST_PRIOR)], prior]))


def set_head_bias(network: nn.Module, bias: np.ndarray) -> None:
    """Sets the bias of all heads (`decoder.seg_layers`, where nnU-Net's networks and ours have them).

    Raises:
        ValueError: there is no such head, or it has none.
    """
    heads = getattr(getattr(network, "decoder", None), "seg_layers", ())
    if not len(heads) or any(head.bias is None or head.bias.shape != bias.shape for head in heads):
        raise ValueError(f"no bias of {len(bias)} channels in decoder.seg_layers of {type(network).__name__}")
    with torch.no_grad():
        for head in heads:
            head.bias.copy_(torch.as_tensor(bias))


def start_at_prior(
    network: nn.Module,
    dataset: nnUNetBaseDataset,
    kinds: Sequence[PatchKind],
    label_manager: LabelManager,
    batch_size: int,
) -> np.ndarray:
    """Sets the heads' bias to the prior of the training patches; returns it, the same in all processes.

    Then the soft volume starts near the truth, not at half the patch, where S is at its cap.

    Args:
        network: also with what DDP and torch.compile put around it.
        dataset: the training cases.
        kinds: the patches that the recipe draws.
        batch_size: of all processes together.
    """
    prior = from_first_process(lambda: foreground_prior(draw_patch_volumes(dataset, kinds, label_manager, batch_size)))
    set_head_bias(unwrapped(network), prior_log_odds(prior, label_manager.has_regions))
    return prior
