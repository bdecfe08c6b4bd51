"""The thesis's recipe (section 4.4) on the plan's patches and batch, and on our network."""

import math
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager
from torch import autocast

from nnunetv2_sizepenalty.mismatch import RecomputeMismatch
from nnunetv2_sizepenalty.nnunet_io.dataset import mismatch_channels
from nnunetv2_sizepenalty.sampling.shifted import place_forced_patches
from nnunetv2_sizepenalty.trainers.attributes import attributes_set
from nnunetv2_sizepenalty.trainers.augmentation import after_augmentation, elastic_margin, thesis_transforms
from nnunetv2_sizepenalty.trainers.base import STREAMS, SizePenaltyTrainer
from nnunetv2_sizepenalty.trainers.loaders import start_both, unstarted_loaders
from nnunetv2_sizepenalty.trainers.network import build_attention_aspp_unet
from nnunetv2_sizepenalty.trainers.patches import (
    LARGE_FOREGROUND,
    SMALL_FOREGROUND,
    BatchSampler,
    SmallPatches,
    TwoSizeLoader,
    batches_per_epoch,
    held,
    share_of_batch,
    thesis_patches,
)
from nnunetv2_sizepenalty.trainers.schedule import IterationOneCycleLR


class ThesisTrainer(SizePenaltyTrainer):
    """AdamW under OneCycleLR, gradient clipping at 1, no deep supervision, ten patches per case and epoch."""

    max_learning_rate = 3e-4
    adamw_weight_decay = 1e-4
    max_gradient_norm = 1.0
    default_epochs = 400
    one_cycle = {"pct_start": 0.2, "div_factor": 25.0, "final_div_factor": 1000.0}
    augmentation = "thesis"
    patch_kinds = staticmethod(thesis_patches)
    build_network_architecture = staticmethod(build_attention_aspp_unet)

    def __init__(self, plans, configuration, fold, dataset_json, device=torch.device("cuda")):  # noqa: B008 nnU-Net's signature
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.initial_lr = self.first_rate(self.max_learning_rate)
        self.weight_decay = self.adamw_weight_decay
        self.num_epochs = self.epochs or self.default_epochs
        self.enable_deep_supervision = False
        self.oversample_foreground_percent = self._forced_share(LARGE_FOREGROUND)
        self.probabilistic_oversampling = True
        self.small_patches = SmallPatches.of(self.configuration_manager.configuration)

    @property
    def settings(self) -> dict[str, Any]:
        small = self.small_patches
        return super().settings | {
            "small_patch_size": small and list(small.size),
            "small_patch_probability": small and small.probability,
            "lesion_forced_patches": self._forced_share(LARGE_FOREGROUND),
            "lesion_forced_small_patches": small and self._forced_share(SMALL_FOREGROUND),
            "augmentation": self.augmentation,
        }

    def initialize(self) -> None:
        # the schedule is made in super().initialize() and needs the number of iterations
        train, validation = self.do_split()
        batch = self.configuration_manager.batch_size
        self.num_iterations_per_epoch = batches_per_epoch(len(train), batch)
        self.num_val_iterations_per_epoch = batches_per_epoch(len(validation), batch)
        if self.small_patches is not None:
            # under torch.compile: a network compiled for each size, not one for any size
            torch._dynamo.config.automatic_dynamic_shapes = False
        super().initialize()

    def _forced_share(self, of_recipe: float) -> float:
        return of_recipe if self.forced_share is None else self.forced_share

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.network.parameters(), self.initial_lr, weight_decay=self.adamw_weight_decay)
        schedule = IterationOneCycleLR(
            optimizer, self.initial_lr, self.num_epochs, self.num_iterations_per_epoch, **self.one_cycle
        )
        return optimizer, schedule

    def get_dataloaders(self):
        large = self._unstarted(self.configuration_manager, self._forced_share(LARGE_FOREGROUND))
        small, probability = (None, None), 0.0
        if self.small_patches is None:
            self.print_to_log_file(
                "No small patches among the batches: this plan has none, -p nnUNetSizePenaltyPlans has."
            )
        else:
            probability = self.small_patches.probability
            configuration = {**self.configuration_manager.configuration, "patch_size": list(self.small_patches.size)}
            small = self._unstarted(ConfigurationManager(configuration), self._forced_share(SMALL_FOREGROUND))
        share = share_of_batch(self.batch_size, self.local_rank)
        loaders = []
        for stream, large_loader, small_loader in zip(STREAMS, large, small, strict=True):
            run = self.entropy_of(stream)
            sampler = BatchSampler(tuple(large_loader.indices), self.configuration_manager.batch_size, probability, run)
            batches = (*run, self.local_rank)
            loaders.append(TwoSizeLoader(large_loader, small_loader, sampler, share, batches, self.first_batch(stream)))
        return start_both(*loaders, pin_memory=self.device.type == "cuda")

    def _unstarted(self, configuration: ConfigurationManager, foreground: float) -> tuple:
        """Returns nnU-Net's loaders for that configuration's patch, with that share of patches forced onto a lesion."""
        # nnU-Net draws a batch to start its loaders: one patch is enough
        with attributes_set(
            self, configuration_manager=configuration, oversample_foreground_percent=foreground, batch_size=1
        ):
            loaders = unstarted_loaders(partial(nnUNetTrainer.get_dataloaders, self))
        for loader in loaders:
            loader.batch_size = self.batch_size
            place_forced_patches(loader, held(self))
        return loaders

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self):
        rotation, dummy_2d, initial, axes = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        if self.augmentation == "thesis":
            # no rotation, no scaling: what is cut around a patch has to hold the elastic deformation alone
            patch_size = self.configuration_manager.patch_size
            margins = elastic_margin(patch_size, dummy_2d)
            initial = np.array([side + 2 * margin for side, margin in zip(patch_size, margins, strict=True)])
        return rotation, dummy_2d, initial, axes

    def get_training_transforms(
        self, patch_size, rotation_for_DA, deep_supervision_scales, mirror_axes, do_dummy_2d_data_aug, **kwargs
    ):
        """The arguments are nnUNetTrainer's, which passes the first five by position."""
        nnunets = super().get_training_transforms(
            patch_size, rotation_for_DA, deep_supervision_scales, mirror_axes, do_dummy_2d_data_aug, **kwargs
        )
        if self.augmentation == "thesis":
            ours = thesis_transforms(patch_size, do_dummy_2d_data_aug, mirror_axes, self._augmented_channels())
            nnunets = ComposeTransforms([*ours, *after_augmentation(nnunets)])
        return self._with_mismatch(nnunets)

    def get_validation_transforms(self, *args, **kwargs):
        return self._with_mismatch(super().get_validation_transforms(*args, **kwargs))

    @property
    def _channel_roles(self) -> dict[str, int] | None:
        """Which channels are adc, dwi and mismatch, where the dataset says so."""
        return mismatch_channels(self.dataset_json)

    def _augmented_channels(self) -> list[int] | None:
        """All but the mismatch, which is recomputed; None for all where the dataset has none."""
        if self._channel_roles is None:
            return None
        return [channel for channel in range(self.num_input_channels) if channel != self._channel_roles["mismatch"]]

    def _with_mismatch(self, transforms: ComposeTransforms) -> ComposeTransforms:
        """Recomputes the mismatch channel after everything else, where there is one."""
        roles = self._channel_roles
        if roles is None:
            return transforms
        return ComposeTransforms(
            [*transforms.transforms, RecomputeMismatch(roles["adc"], roles["dwi"], roles["mismatch"])]
        )

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        self.lr_scheduler.step(self.current_epoch, self.progress.iteration)

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
        self.gradient_norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.max_gradient_norm)
        scaler.step(self.optimizer)
        scaler.update()
        self.lr_scheduler.step()
        return {"loss": loss.detach().cpu().numpy()}

    def was_clipped(self) -> float:
        norm = self.gradient_norm.item()
        return float(norm > self.max_gradient_norm) if math.isfinite(norm) else math.nan
