"""`_priorbias`: the network starts by predicting each class as often as the training patches hold it."""

import numpy as np
import torch
from torch import nn

from nnunetv2_sizepenalty.sampling.patch_volumes import draw_patch_volumes, foreground_prior
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


class PriorBias:
    """Mixin for nnUNetTrainer: with `prior_bias` a new training sets the heads' bias before its first step.

    Then the soft volume starts near the truth, not at half the patch, where S is at its cap.
    """

    prior_bias = False

    def on_train_start(self) -> None:
        if not self.was_initialized:
            self.initialize()
        if self.prior_bias and self.current_epoch == 0 and self.progress.iteration == 0:
            prior = self._foreground_prior()
            set_head_bias(self._bare_network(), prior_log_odds(prior, self.label_manager.has_regions))
            shares = ", ".join(f"{share:.3g}" for share in prior)
            self.print_to_log_file(f"Bias of the heads at the log-odds of foreground in the training patches: {shares}")
        super().on_train_start()

    def _foreground_prior(self) -> np.ndarray:
        """Of the fold's training cases; the same in all processes."""
        dataset, _ = self.get_tr_and_val_datasets()
        configuration = self.configuration_manager
        kinds = self.patch_kinds(configuration)
        return from_first_process(
            lambda: foreground_prior(draw_patch_volumes(dataset, kinds, self.label_manager, configuration.batch_size)),
        )

    def _bare_network(self) -> nn.Module:
        """Without what DDP and torch.compile put around it."""
        network = self.network.module if self.is_ddp else self.network
        return getattr(network, "_orig_mod", network)
