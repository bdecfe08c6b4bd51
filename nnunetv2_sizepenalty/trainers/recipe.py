"""The thesis's recipe (section 4.4) on the plan's patch and batch, and on our network."""

from contextlib import nullcontext
from math import ceil
from typing import Any

import torch
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import autocast

from nnunetv2_sizepenalty.mismatch import RecomputeMismatch
from nnunetv2_sizepenalty.trainers.base import SizePenaltyTrainer
from nnunetv2_sizepenalty.trainers.loaders import unstarted_loaders
from nnunetv2_sizepenalty.trainers.network import AttentionASPPMixin
from nnunetv2_sizepenalty.trainers.schedule import IterationOneCycleLR


class ThesisTrainer(AttentionASPPMixin, SizePenaltyTrainer):
    """AdamW under OneCycleLR, gradient clipping at 1, no deep supervision, ten patches per case and epoch."""

    max_learning_rate = 3e-4
    adamw_weight_decay = 1e-4
    max_gradient_norm = 1.0
    patches_per_case = 10
    default_epochs = 400
    one_cycle = {"pct_start": 0.2, "div_factor": 25.0, "final_div_factor": 1000.0}

    def __init__(self, plans, configuration, fold, dataset_json, device=torch.device("cuda")):  # noqa: B008 nnU-Net's signature
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.initial_lr = self.max_learning_rate
        self.weight_decay = self.adamw_weight_decay
        self.num_epochs = self.epochs or self.default_epochs
        self.enable_deep_supervision = False

    def initialize(self) -> None:
        # the schedule is made in super().initialize() and needs the number of iterations
        train, validation = self.do_split()
        batch = self.configuration_manager.batch_size
        self.num_iterations_per_epoch = max(1, ceil(self.patches_per_case * len(train) / batch))
        self.num_val_iterations_per_epoch = max(1, ceil(self.patches_per_case * len(validation) / batch))
        super().initialize()

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(
            self.network.parameters(), self.max_learning_rate, weight_decay=self.adamw_weight_decay
        )
        schedule = IterationOneCycleLR(
            optimizer, self.max_learning_rate, self.num_epochs, self.num_iterations_per_epoch, **self.one_cycle
        )
        return optimizer, schedule

    def on_epoch_resumed(self, iteration: int) -> None:
        self.lr_scheduler.step(self.current_epoch, iteration)

    def get_dataloaders(self):
        return self._start_seeded(*unstarted_loaders(super(SizePenaltyTrainer, self).get_dataloaders))

    def get_training_transforms(self, *args, **kwargs):
        return self._with_mismatch(nnUNetTrainer.get_training_transforms(*args, **kwargs))

    def get_validation_transforms(self, *args, **kwargs):
        return self._with_mismatch(nnUNetTrainer.get_validation_transforms(*args, **kwargs))

    def _with_mismatch(self, transforms: ComposeTransforms) -> ComposeTransforms:
        """Recomputes the mismatch channel after everything else, where the dataset says which one it is."""
        channels = self.dataset_json.get("size_penalty", {}).get("channels")
        if channels is None:
            return transforms
        return ComposeTransforms(
            [*transforms.transforms, RecomputeMismatch(channels["adc"], channels["dwi"], channels["mismatch"])]
        )

    def optimise(self, batch: dict[str, Any]) -> dict[str, Any]:
        """nnUNetTrainer.train_step with the thesis's gradient clipping and a learning rate per iteration."""
        data = batch["data"].to(self.device, non_blocking=True)
        target = batch["target"].to(self.device, non_blocking=True)
        self.optimizer.zero_grad(set_to_none=True)
        with autocast("cuda") if self.device.type == "cuda" else nullcontext():
            loss = self.loss(self.network(data), target)
        scaler = self.grad_scaler or torch.amp.GradScaler("cpu", enabled=False)
        scaler.scale(loss).backward()
        scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.max_gradient_norm)
        scaler.step(self.optimizer)
        scaler.update()
        self.lr_scheduler.step()
        return {"loss": loss.detach().cpu().numpy()}
