"""What all trainers share: the loss that the name asks for, length, seed, and a log that tells when S collapsed."""

from typing import Any

import numpy as np
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA

from nnunetv2_sizepenalty.losses import DeepSupervision, build_loss, term_weights
from nnunetv2_sizepenalty.trainers.cells import CellsInTarget
from nnunetv2_sizepenalty.trainers.checkpoints import ResumableCheckpoints
from nnunetv2_sizepenalty.trainers.lesion_sampling import LesionSampling
from nnunetv2_sizepenalty.trainers.loaders import SeededLoader, seed_everything, start, unstarted_loaders
from nnunetv2_sizepenalty.trainers.patches import nnunet_patches
from nnunetv2_sizepenalty.trainers.prior_bias import PriorBias
from nnunetv2_sizepenalty.trainers.processes import from_first_process
from nnunetv2_sizepenalty.trainers.pseudo_dice import all_predicted_empty, keep_moving_average
from nnunetv2_sizepenalty.trainers.size_term import SizeTermOptions
from nnunetv2_sizepenalty.trainers.tau import TauFromData
from nnunetv2_sizepenalty.trainers.training_log import TrainingLog

STREAMS = {"train": 0, "validation": 1}


class SizePenaltyTrainer(
    TrainingLog,
    SizeTermOptions,
    TauFromData,
    PriorBias,
    LesionSampling,
    CellsInTarget,
    ResumableCheckpoints,
    nnUNetTrainer,
):
    """nnU-Net's recipe with one of our losses (`_nnUNet`); base of the thesis's recipe.

    The class attributes are what a name's letters and modifiers set (`names.MODIFIERS`); those of S are in
    `SizeTermOptions`.
    """

    combination: str
    epochs: int | None = None
    seed: int | None = None
    # which patches this recipe draws from a configuration
    patch_kinds = staticmethod(nnunet_patches)

    def __init__(self, plans, configuration, fold, dataset_json, device=torch.device("cuda")):  # noqa: B008 nnU-Net's signature
        super().__init__(plans, configuration, fold, dataset_json, device)
        if self.epochs is not None:
            self.num_epochs = self.epochs

    @property
    def settings(self) -> dict[str, Any]:
        """What the name means here: goes into the log, debug.json and every checkpoint."""
        settings = {
            "combination": self.combination,
            "weights": term_weights(self.combination, self._weights()),
            "epochs": self.num_epochs,
            "iterations_per_epoch": self.num_iterations_per_epoch,
            "batch_size": self.configuration_manager.batch_size,
            "patch_size": list(self.configuration_manager.patch_size),
            "deep_supervision": self.enable_deep_supervision,
            "learning_rate": self.initial_lr,
            "weight_decay": self.weight_decay,
            "seed": self.seed,
        }
        if self.prior_bias:
            settings["prior_bias"] = True
        if self.sampling is not None:
            settings["sampling"] = self.sampling
        if "S" in self.combination:
            settings |= self.size_settings
        return settings

    def _weights(self) -> dict[str, float] | None:
        return None if self.size_weight is None else {"S": self.size_weight}

    def initialize(self) -> None:
        if self.seed is None:
            self.entropy = from_first_process(lambda: np.random.SeedSequence().entropy)
        else:
            self.entropy = self.seed
            # every process of a DDP run must start from the same weights
            seed_everything((self.seed,))
        super().initialize()

    def extra_state(self) -> dict[str, Any]:
        return super().extra_state() | {"entropy": self.entropy}

    def restore_extra_state(self, saved: dict[str, Any]) -> None:
        super().restore_extra_state(saved)
        self.entropy = saved.get("entropy", self.entropy)

    def _build_loss(self) -> torch.nn.Module:
        loss = build_loss(
            self.combination,
            regions=self.label_manager.has_regions,
            ignore_label=self.label_manager.ignore_label,
            batch_dice=self.configuration_manager.batch_dice,
            ddp=self.is_ddp,
            weights=self._weights(),
            **self.size_options(),
        )
        if self.enable_deep_supervision:
            # nnU-Net's own weights of the scales
            loss = DeepSupervision(loss, super()._build_loss().weight_factors)
        return loss

    def on_train_start(self) -> None:
        super().on_train_start()
        if self.seed is not None:
            torch.backends.cudnn.deterministic = True
            torch.backends.cudnn.benchmark = False
        lines = ["", "Size penalty settings:", *(f"  {key}: {value}" for key, value in self.settings.items()), ""]
        self.print_to_log_file("\n".join(lines), add_timestamp=False)

    def get_dataloaders(self):
        if self.seed is None:
            return super().get_dataloaders()
        loaders = unstarted_loaders(super().get_dataloaders)
        return self.start_loaders(
            *(
                SeededLoader(loader, (*self.entropy_of(stream), self.local_rank), self.first_batch(stream))
                for loader, stream in zip(loaders, STREAMS, strict=True)
            )
        )

    def entropy_of(self, stream: str) -> tuple[int, int]:
        """Numbers that name this run's training or validation batches."""
        return self.entropy, STREAMS[stream]

    def first_batch(self, stream: str) -> int:
        """Number of the first batch from here on, counted from the run's start."""
        if stream == "validation":
            return self.current_epoch * self.num_val_iterations_per_epoch
        return self.current_epoch * self.num_iterations_per_epoch + self.progress.iteration

    def start_loaders(self, train: SeededLoader, validation: SeededLoader) -> tuple:
        """Puts workers before them, as many as nnU-Net would."""
        processes = get_allowed_n_proc_DA()
        pin_memory = self.device.type == "cuda"
        return (
            start(train, processes, max(6, processes // 2), pin_memory),
            start(validation, (processes + 1) // 2, max(3, processes // 4), pin_memory),
        )

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        wait_s = self.waited_s()
        self.restore_iterations()
        self.schedule_size_term()
        output = self.optimise(batch)
        output["measures"] = self.measure_step(wait_s)
        self.iteration_done(output)
        self.step_done()
        return output

    def optimise(self, batch: dict[str, Any]) -> dict[str, Any]:
        """One step of the optimiser; returns what nnUNetTrainer.train_step does."""
        return super().train_step(batch)

    def on_validation_epoch_end(self, val_outputs: list[dict[str, Any]]) -> None:
        super().on_validation_epoch_end(val_outputs)
        if keep_moving_average(self.logger.local_logger.my_fantastic_logging["ema_fg_dice"]):
            self.print_to_log_file("No validation patch held or predicted foreground: the moving average is kept.")
        if all_predicted_empty(val_outputs):
            self.print_to_log_file(
                "All validation patches are predicted empty."
                + (
                    " If this stays, S may be what empties them: see docs/variants.md, or train without it."
                    if "S" in self.combination
                    else ""
                )
            )
