"""Keeps what `measures` takes of a training in nnU-Net's logger, in its log file and in a figure."""

import math
import os
from time import perf_counter
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from nnunetv2_sizepenalty.losses import logit_gradient_norms
from nnunetv2_sizepenalty.nnunet_io.spacing import voxel_mm
from nnunetv2_sizepenalty.trainers.measures import Measures, gradient_ratio
from nnunetv2_sizepenalty.trainers.names import step_size
from nnunetv2_sizepenalty.trainers.processes import of_all_processes
from nnunetv2_sizepenalty.trainers.progress import draw_progress

FIGURE = "progress_size_penalty.png"
# nnUNetTrainer.train_step's
NNUNETS_MAX_NORM = 12


class TrainingLog:
    """Mixin for nnUNetTrainer whose loss is one of ours.

    Under DDP values are over the samples and steps of all processes, the time waited is the processes' mean.
    """

    # a look at the gradients costs a backward pass of the loss for each term: one step in so many
    gradient_every = 20
    gradient_norm: torch.Tensor | None = None
    _logits: tuple | None = None

    def initialize(self) -> None:
        super().initialize()
        spacing = voxel_mm(self.plans_manager, self.configuration_manager)
        self.measures = Measures(
            tuple(self.loss.weights), spacing, learned=self.loss.learned is not None, per_lesion=self.per_lesion
        )
        self.loss.register_forward_hook(self._keep_logits)
        self._register_keys()

    def _register_keys(self) -> None:
        logged = self.logger.local_logger.my_fantastic_logging
        for key in self.measures.keys:
            values = logged.setdefault(key, [])
            values.extend([math.nan] * (self.current_epoch - len(values)))

    def load_checkpoint(self, filename_or_checkpoint) -> None:
        super().load_checkpoint(filename_or_checkpoint)
        self._register_keys()

    @property
    def best_epoch(self) -> int | None:
        """The epoch of `checkpoint_best.pth`: where the moving average of the pseudo Dice was highest first."""
        averages = self.logger.local_logger.my_fantastic_logging["ema_fg_dice"]
        return int(np.argmax(averages)) if averages else None

    def extra_state(self) -> dict[str, Any]:
        return super().extra_state() | {"best_epoch": self.best_epoch}

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        self._waiting_since = perf_counter()

    def waited_s(self) -> float:
        """Seconds since the last step: nnU-Net's loop does nothing between two steps but ask for a batch."""
        return perf_counter() - self._waiting_since

    def step_done(self) -> None:
        """To be called when a training step leaves off."""
        self._waiting_since = perf_counter()

    def measure_step(self, wait_s: float) -> np.ndarray:
        """The numbers of the step just done, to be returned by train_step under `measures`."""
        ratio = math.nan
        if self._logits is not None:
            ratio = gradient_ratio(logit_gradient_norms(self.loss, *self._logits))
            self._logits = None
        return self.measures.of_step(self.loss.last, self.was_clipped(), ratio, wait_s)

    @property
    def _looks_at_gradients(self) -> bool:
        return self.progress.iteration % self.gradient_every == 0

    def _keep_logits(self, loss, inputs, output) -> None:
        """Forward hook of the loss: it sees the logits, whichever recipe's step computes them."""
        if "gradient_ratio" in self.measures.keys and self.network.training and self._looks_at_gradients:
            logits, target = inputs
            logits = logits.detach() if isinstance(logits, torch.Tensor) else [scale.detach() for scale in logits]
            self._logits = (logits, target)

    def was_clipped(self) -> float:
        """1 or 0: the step's gradients were scaled down; NaN where that isn't known, or they were not finite.

        nnU-Net's own step doesn't tell: of the steps that are looked at, those whose gradients have its largest norm.
        """
        if not self._looks_at_gradients:
            return math.nan
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), math.inf).item()
        return float(norm > 0.999 * NNUNETS_MAX_NORM) if math.isfinite(norm) else math.nan

    def validation_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        output = super().validation_step(batch)
        return output | {"measures": self.measures.of_validation_step(self.loss.last)}

    def on_validation_epoch_end(self, val_outputs: list[dict[str, Any]]) -> None:
        super().on_validation_epoch_end(val_outputs)
        steps, validation_steps = (
            of_all_processes([output["measures"] for output in outputs if "measures" in output])
            for outputs in (self.progress.outputs, val_outputs)
        )
        learned = self.loss.learned
        learned_s = math.nan if learned is None else learned.log_variance.item()
        values = self.measures.of_epoch(steps, validation_steps, learned_s)
        if self.is_ddp:
            values["data_wait_s"] /= dist.get_world_size()
        for key, value in values.items():
            self.logger.log(key, value, self.current_epoch)
        rate = self.optimizer.param_groups[0]["lr"]
        lines = [*self.measures.lines(values), f"Learning rate at the epoch's end: {rate:.3g}"]
        self.print_to_log_file("\n".join(lines))

    def on_epoch_end(self) -> None:
        super().on_epoch_end()
        if self.local_rank == 0:
            logged = self.logger.local_logger.my_fantastic_logging
            draw_progress(logged, self.measures, os.path.join(self.output_folder, FIGURE))  # noqa: PTH118

    def on_train_end(self) -> None:
        super().on_train_end()
        self._save_debug_information()  # now it knows the best epoch
        name = type(self).__name__
        ours, thesis = step_size(name), step_size(name, thesis_overlap=True)
        self.print_to_log_file(
            f"The moving average of the pseudo Dice was highest in epoch {self.best_epoch} (checkpoint_best.pth). "
            "Validation takes the final weights, with --val_best those."
        )
        self.print_to_log_file(
            f"Predict with nnUNetv2_predict -step_size {ours:g}, as all combinations are compared here; the thesis's "
            f"overlap for this one is -step_size {thesis:g} (--thesis-overlap)."
        )
