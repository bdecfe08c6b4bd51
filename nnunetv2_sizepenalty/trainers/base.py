"""The trainer that all names share: nnU-Net's recipe with one of our losses.

Its hooks, in the order in which nnU-Net calls them; each is overridden here once, and by the thesis's recipe alone:

    __init__                        a place within the epoch, the job's signals
    initialize                      the seed, mL into voxels; then network, optimiser and
      _build_loss                     the loss that the name asks for; what is logged of it
    load_checkpoint                 with --c: other settings are refused, the place within the epoch is restored
    on_train_start                  tau and the heads' bias from the data, or another model's weights; then
      get_dataloaders                 batches by seed, forced patches anywhere around their voxel; from
        get_training_transforms         small lesions kept at coarse scales, the lesions' cells behind the target
        get_validation_transforms
        get_tr_and_val_datasets         lesions drawn uniformly
      _save_debug_information         what S was
    on_train_epoch_start            the rest of an interrupted epoch
    train_step                      the weight of S, one step, its measures; a checkpoint if one is due
    on_train_epoch_end              also of the steps before an interruption
    validation_step                 the cells kept from nnU-Net's pseudo Dice; a checkpoint if one is due
    on_validation_epoch_end         the epoch's measures, its warnings
    on_epoch_end                    the figure; nnU-Net's own checkpoints, by
      save_checkpoint                 written whole or not at all, with what a continued run needs
    on_train_end                    signals given back, the best epoch
"""

import math
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from time import monotonic
from types import MappingProxyType
from typing import Any

import torch
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunetv2_sizepenalty.atomic import atomic_file
from nnunetv2_sizepenalty.losses import DeepSupervision, SizeTerm, build_loss, term_weights
from nnunetv2_sizepenalty.losses.parameters import DEFAULT, Parameters
from nnunetv2_sizepenalty.losses.size_term import AUTO, THESIS
from nnunetv2_sizepenalty.losses.terms import needs_cells
from nnunetv2_sizepenalty.nnunet_io.file_names import LATEST
from nnunetv2_sizepenalty.nnunet_io.spacing import voxel_mm
from nnunetv2_sizepenalty.sampling.shifted import place_forced_patches
from nnunetv2_sizepenalty.trainers.attributes import attributes_set
from nnunetv2_sizepenalty.trainers.cells import cells_for_the_loss_alone, layout_with_cells, with_cells
from nnunetv2_sizepenalty.trainers.finetune import RATE_SHARE, start_from_source
from nnunetv2_sizepenalty.trainers.job_signals import JobSignals
from nnunetv2_sizepenalty.trainers.keep_small import keep_small
from nnunetv2_sizepenalty.trainers.lesion_sampling import lesion_uniform
from nnunetv2_sizepenalty.trainers.loaders import SeededLoader, run_entropy, start_both, unstarted_loaders
from nnunetv2_sizepenalty.trainers.measures import Measures
from nnunetv2_sizepenalty.trainers.patches import drawn_patches, held, nnunet_patches
from nnunetv2_sizepenalty.trainers.prior_bias import start_at_prior
from nnunetv2_sizepenalty.trainers.processes import wait_for_all_processes
from nnunetv2_sizepenalty.trainers.pseudo_dice import all_predicted_empty, keep_moving_average
from nnunetv2_sizepenalty.trainers.resume import EpochProgress, refuse_changed_settings, trim_log
from nnunetv2_sizepenalty.trainers.schedule import schedule_size_weight, train_learned_weight
from nnunetv2_sizepenalty.trainers.size_settings import loss_settings, planned_size_term, size_settings, size_values
from nnunetv2_sizepenalty.trainers.tau import estimate_tau
from nnunetv2_sizepenalty.trainers.training_log import (
    TrainingLog,
    best_epoch,
    closing_words,
    nnunets_step_was_clipped,
)

STREAMS = {"train": 0, "validation": 1}


class SizePenaltyTrainer(nnUNetTrainer):
    """nnU-Net's recipe with one of our losses (`_nnUNet`); base of the thesis's recipe.

    The first class attributes are what a name's letters and modifiers set (`names.MODIFIERS`).

    nnU-Net writes `checkpoint_latest.pth` every 50 epochs and in place: a job with a shorter time limit never gets
    anywhere, and one killed while writing leaves a broken file. Here the file is also written every `save_minutes`
    and when the job is told to end (SIGTERM: save and exit with 143; SIGUSR1: save and go on), in the middle of an
    epoch if need be. What a trainer's name means is kept in it (`settings`), and `--c` with other values is refused.
    """

    combination: str
    size_term: SizeTerm = THESIS
    parameters: Parameters = DEFAULT
    own_weights: Mapping[str, float] = MappingProxyType({})
    batch_dice: bool | None = None
    forced_share: float | None = None
    learning_rate: float | None = None
    deterministic = False
    finetune = False
    epochs: int | None = None
    seed: int | None = None
    prior_bias = False
    sampling: str | None = None
    shifted = False
    keep_small = False

    # which patches this recipe draws from a configuration
    patch_kinds = staticmethod(nnunet_patches)
    save_minutes = 10.0
    # a look at the gradients costs a backward pass of the loss for each term: one step in so many
    gradient_every = 20

    # of the step just done, where the recipe's own step knows it
    gradient_norm: torch.Tensor | None = None
    _datasets: tuple | None = None

    def __init__(self, plans, configuration, fold, dataset_json, device=torch.device("cuda")):  # noqa: B008 nnU-Net's signature
        super().__init__(plans, configuration, fold, dataset_json, device)
        if self.epochs is not None:
            self.num_epochs = self.epochs
        self.initial_lr = self.first_rate(self.initial_lr)
        if self.forced_share is not None:
            # by its place in the batch, a patch of two is forced or not whatever the share
            self.oversample_foreground_percent, self.probabilistic_oversampling = self.forced_share, True
        self.progress = EpochProgress()
        self.job_signals = JobSignals(self.device)

    def first_rate(self, of_recipe: float) -> float:
        """Returns the initial learning rate: the name's, else a share of the recipe's when fine-tuning."""
        if self.learning_rate is not None:
            return self.learning_rate
        return of_recipe * RATE_SHARE if self.finetune else of_recipe

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
        if self.shifted:
            settings["shifted"] = True
        if self.keep_small:
            settings["keep_small"] = True
        if self.deterministic:
            settings["deterministic"] = True
        if self.finetune:
            settings["finetune"] = True
        if self.forced_share is not None:
            settings["forced_share"] = self.forced_share
        settings |= loss_settings(self.parameters, self.batch_dice)
        if "S" in self.combination:
            settings |= size_settings(type(self).size_term, self.size_term)
        elif self._uses_tau:
            settings["tau_voxels"] = self.size_term.tau
        return settings

    @property
    def _uses_tau(self) -> bool:
        """Whether something other than S is scaled by tau."""
        return "H" in self.combination or self.parameters.size_weight is not None

    @property
    def best_epoch(self) -> int | None:
        """The epoch of `checkpoint_best.pth`."""
        return best_epoch(self.logged()["ema_fg_dice"])

    def logged(self) -> dict[str, list]:
        """Returns nnU-Net's log: key -> a value an epoch."""
        return self.logger.local_logger.my_fantastic_logging

    def _weights(self) -> dict[str, float] | None:
        weights = dict(self.own_weights)
        if self.size_term.weight is not None:
            weights["S"] = self.size_term.weight
        return weights or None

    @property
    def needs_cells(self) -> bool:
        """Whether the loss looks at single lesions."""
        return needs_cells(self.combination, self.size_term, self.parameters)

    def initialize(self) -> None:
        self.entropy = run_entropy(self.seed)
        self.size_term = planned_size_term(
            self.size_term, self.plans_manager, self.configuration_manager, type(self).__name__
        )
        super().initialize()
        self.loss.to(self.device)
        self.full_size_weight = self.loss.weights.get("S")
        train_learned_weight(self.loss, self.optimizer)
        self.measures = Measures(
            tuple(self.loss.weights),
            voxel_mm(self.plans_manager, self.configuration_manager),
            learned=self.loss.learned is not None,
            per_lesion=self.size_term.per_lesion,
        )
        self.training_log = TrainingLog(self.measures, self.loss)
        self.training_log.register(self.logged(), self.current_epoch)

    def _build_loss(self) -> torch.nn.Module:
        loss = build_loss(
            self.combination,
            regions=self.label_manager.has_regions,
            ignore_label=self.label_manager.ignore_label,
            batch_dice=self.configuration_manager.batch_dice if self.batch_dice is None else self.batch_dice,
            ddp=self.is_ddp,
            size_term=self.size_term,
            parameters=self.parameters,
            weights=self._weights(),
        )
        if self.enable_deep_supervision:
            # nnU-Net's own weights of the scales
            loss = DeepSupervision(loss, super()._build_loss().weight_factors)
        return loss

    def load_checkpoint(self, filename_or_checkpoint) -> None:
        super().load_checkpoint(filename_or_checkpoint)
        saved = self.my_init_kwargs.pop("size_penalty", None)
        if saved is not None:
            if self.logger.resume:
                if self.size_term.tau == AUTO and "tau_voxels" in saved["settings"]:
                    self.use_tau(saved["settings"]["tau_voxels"])
                refuse_changed_settings(saved, self.settings, filename_or_checkpoint, self.output_folder)
            self.progress.restore(saved)
            self.loss.load_state_dict(saved.get("loss", {}))
            self.entropy = saved.get("entropy", self.entropy)
            trim_log(self.logged(), self.current_epoch)
        self.training_log.register(self.logged(), self.current_epoch)

    def use_tau(self, tau: float) -> None:
        """Sets tau of S, in voxels."""
        self.size_term = replace(self.size_term, tau=tau)
        self.loss.set_tau(tau)

    def on_train_start(self) -> None:
        if not self.was_initialized:
            self.initialize()
        if self.size_term.tau == AUTO:
            self._estimate_tau()
        begins = self.current_epoch == 0 and self.progress.iteration == 0
        if self.finetune and begins:
            self.print_to_log_file(start_from_source(self.network, self.output_folder))
        if self.prior_bias and begins:
            self._start_at_prior()
        super().on_train_start()
        self._last_save = monotonic()
        self.job_signals.catch()
        if self.seed is not None or self.deterministic:
            torch.backends.cudnn.deterministic = True
            torch.backends.cudnn.benchmark = False
        lines = ["", "Size penalty settings:", *(f"  {key}: {value}" for key, value in self.settings.items()), ""]
        self.print_to_log_file("\n".join(lines), add_timestamp=False)

    def _estimate_tau(self) -> None:
        dataset, _ = self.get_tr_and_val_datasets()
        of, tau = estimate_tau(
            dataset,
            self.preprocessed_dataset_folder,
            drawn_patches(self, self.configuration_manager),
            self.label_manager,
            self.configuration_manager,
            per_lesion=self.size_term.per_lesion or "S" not in self.combination,
        )
        self.use_tau(tau)
        self.print_to_log_file(f"tau is {tau:g} voxels, the median of {of}")

    def _start_at_prior(self) -> None:
        dataset, _ = self.get_tr_and_val_datasets()
        configuration = self.configuration_manager
        kinds = drawn_patches(self, configuration)
        prior = start_at_prior(self.network, dataset, kinds, self.label_manager, configuration.batch_size)
        shares = ", ".join(f"{share:.3g}" for share in prior)
        self.print_to_log_file(f"Bias of the heads at the log-odds of foreground in the training patches: {shares}")

    def get_dataloaders(self):
        if self.seed is None and not self.shifted:
            return super().get_dataloaders()
        seeded = (
            SeededLoader(
                place_forced_patches(loader, held(self)),
                (*self.entropy_of(stream), self.local_rank),
                self.first_batch(stream),
            )
            for loader, stream in zip(unstarted_loaders(super().get_dataloaders), STREAMS, strict=True)
        )
        return start_both(*seeded, pin_memory=self.device.type == "cuda")

    def entropy_of(self, stream: str) -> tuple[int, int]:
        """Returns the numbers that name this run's training or validation batches."""
        return self.entropy, STREAMS[stream]

    def first_batch(self, stream: str) -> int:
        """Returns the number of the first batch from here on, counted from the run's start."""
        if stream == "validation":
            return self.current_epoch * self.num_val_iterations_per_epoch
        return self.current_epoch * self.num_iterations_per_epoch + self.progress.iteration

    def get_training_transforms(self, *args, **kwargs) -> ComposeTransforms:
        return self._with_target(super().get_training_transforms(*args, **kwargs))

    def get_validation_transforms(self, *args, **kwargs) -> ComposeTransforms:
        return self._with_target(super().get_validation_transforms(*args, **kwargs))

    def _with_target(self, transforms: ComposeTransforms) -> ComposeTransforms:
        """Returns the transforms with the target that the name asks for in the place of nnU-Net's."""
        layout = replace(layout_with_cells(self.label_manager), with_cells=self.needs_cells)
        if self.keep_small:
            transforms = keep_small(transforms, layout)
        if self.needs_cells:
            share_lost, spacing_mm = "L" in self.combination, self.configuration_manager.spacing
            transforms = with_cells(transforms, layout, spacing_mm, share_lost=share_lost)
        return transforms

    def get_tr_and_val_datasets(self):
        if self.sampling != "lesionuniform":
            return super().get_tr_and_val_datasets()
        if self._datasets is None:
            self._datasets, found = lesion_uniform(
                super().get_tr_and_val_datasets(), self.preprocessed_dataset_folder, self.label_manager
            )
            self.print_to_log_file(found)
        return self._datasets

    def _save_debug_information(self) -> None:
        # nnU-Net writes the attributes that it finds
        size = (type(self).size_term, self.size_term)
        with attributes_set(
            self, **size_values(*size), size_settings=size_settings(*size), first_iteration=self.progress.iteration
        ):
            super()._save_debug_information()

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        # nnU-Net's loop reads this number right after this call; train_step puts it back before anybody else does
        self.num_iterations_per_epoch = self.progress.begin(self.num_iterations_per_epoch)
        if self.progress.iteration:
            self.print_to_log_file(f"Continuing this epoch after {self.progress.iteration} of its iterations")
        self.training_log.waits()

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        self.num_iterations_per_epoch = self.progress.iterations
        self.training_log.step_begins(self.progress.iteration % self.gradient_every == 0)
        epoch = self.current_epoch + self.progress.iteration / self.progress.iterations
        schedule_size_weight(self.loss, self.full_size_weight, self.size_term, epoch, self.num_epochs)
        output = self.optimise(batch)
        output["measures"] = self.training_log.of_step(self.was_clipped())
        self.progress.outputs.append(output)
        self.save_if_due()
        self.training_log.waits()
        return output

    def optimise(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Makes one step of the optimiser; returns what nnUNetTrainer.train_step does."""
        return super().train_step(batch)

    def was_clipped(self) -> float:
        """Returns 1 where the step's gradients were scaled down, else 0; NaN where that isn't known.

        nnU-Net's own step doesn't tell: of the steps that are looked at, those whose gradients have its largest norm.
        """
        return nnunets_step_was_clipped(self.network) if self.training_log.looks_at_gradients else math.nan

    def save_if_due(self) -> None:
        """Saves `checkpoint_latest.pth` when the minutes have passed or a signal asks for it."""
        received = self.job_signals.agreed()
        if received is None and monotonic() - self._last_save < 60 * self.save_minutes:
            return
        self._last_save = monotonic()
        # nnU-Net stores the epoch to go on with as current_epoch + 1
        self.current_epoch -= 1
        self.save_checkpoint(os.path.join(self.output_folder, LATEST))  # noqa: PTH118
        self.current_epoch += 1
        if received is not None:
            self.print_to_log_file(
                f"{received.name} received: saved epoch {self.current_epoch} after "
                f"{self.progress.iteration} iterations; continue with --c"
            )
        if received == signal.SIGTERM:
            # torch kills the other processes soon after one has left: the first may still be writing
            wait_for_all_processes()
            sys.exit(128 + received)

    def on_train_epoch_end(self, train_outputs: list[dict[str, Any]]) -> None:
        self.num_iterations_per_epoch = self.progress.iterations
        super().on_train_epoch_end(self.progress.outputs)

    def validation_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        if self.needs_cells:
            layout = layout_with_cells(self.label_manager)
            with cells_for_the_loss_alone(self.loss, batch, layout, self.device) as plain:
                output = super().validation_step(plain)
        else:
            output = super().validation_step(batch)
        output["measures"] = self.training_log.of_validation_step()
        self.save_if_due()
        return output

    def on_validation_epoch_end(self, val_outputs: list[dict[str, Any]]) -> None:
        super().on_validation_epoch_end(val_outputs)
        lines = self.training_log.log_epoch(self.logger, self.current_epoch, self.progress.outputs, val_outputs)
        rate = self.optimizer.param_groups[0]["lr"]
        self.print_to_log_file("\n".join([*lines, f"Learning rate at the epoch's end: {rate:.3g}"]))
        if keep_moving_average(self.logged()["ema_fg_dice"]):
            self.print_to_log_file("No validation patch held or predicted foreground: the moving average is kept.")
        if all_predicted_empty(val_outputs):
            advice = " If this stays, S may be what empties them: see docs/variants.md, or train without it."
            self.print_to_log_file(
                "All validation patches are predicted empty." + (advice if "S" in self.combination else "")
            )

    def on_epoch_end(self) -> None:
        self.progress.end()
        super().on_epoch_end()
        if self.local_rank == 0:
            self.training_log.draw(self.logged(), self.output_folder)

    def save_checkpoint(self, filename: str) -> None:
        if self.local_rank != 0 or self.disable_checkpointing:
            super().save_checkpoint(filename)
            return
        self.my_init_kwargs["size_penalty"] = {
            "settings": self.settings,
            **self.progress.state(),
            "loss": self.loss.state_dict(),
            "best_epoch": self.best_epoch,
            "entropy": self.entropy,
        }
        with atomic_file(filename) as temporary:
            super().save_checkpoint(str(temporary))

    def on_train_end(self) -> None:
        self.job_signals.release()
        super().on_train_end()
        self._save_debug_information()  # now it knows the best epoch
        for words in closing_words(type(self).__name__, self.best_epoch):
            self.print_to_log_file(words)
