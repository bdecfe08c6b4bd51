"""Takes what `measures` says of a training's steps into nnU-Net's logger, its log file and a figure."""

import math
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from nnunetv2.training.logging.nnunet_logger import MetaLogger
from torch import nn

from nnunetv2_sizepenalty.losses import CompoundLoss, DeepSupervision, logit_gradient_norms
from nnunetv2_sizepenalty.trainers.measures import Measures, gradient_ratio
from nnunetv2_sizepenalty.trainers.names import step_size
from nnunetv2_sizepenalty.trainers.processes import are_several, of_all_processes
from nnunetv2_sizepenalty.trainers.progress_figure import draw_progress

FIGURE = "progress_size_penalty.png"
# nnUNetTrainer.train_step's
NNUNETS_MAX_NORM = 12


class TrainingLog:
    """Takes the measures of a training whose loss is one of ours.

    Under DDP values are over the samples and steps of all processes, the time waited is the processes' mean.

    Args:
        measures: what is taken.
        loss: its latest `Record` is read after each step, and its gradients are looked at in some.
    """

    def __init__(self, measures: Measures, loss: CompoundLoss | DeepSupervision):
        self.measures = measures
        self.loss = loss
        self.looks_at_gradients = False
        self._logits: tuple | None = None
        self._waiting_since, self._waited_s = perf_counter(), 0.0
        loss.register_forward_hook(self._keep_logits)

    def register(self, logged: MutableMapping[str, list], epochs: int) -> None:
        """Gives nnU-Net's log a list for each value, filled up with NaN for the epochs that are done."""
        for key in self.measures.keys:
            values = logged.setdefault(key, [])
            values.extend([math.nan] * (epochs - len(values)))

    def step_begins(self, looks_at_gradients: bool) -> None:
        """Notes how long the step waited for its batch: nnU-Net's loop does nothing else between two steps.

        Args:
            looks_at_gradients: whether the step's `gradient_ratio` is wanted.
        """
        self._waited_s = perf_counter() - self._waiting_since
        self.looks_at_gradients = looks_at_gradients

    def of_step(self, clipped: float) -> np.ndarray:
        """Returns the numbers of the step just done; `clipped` is 1 or 0, or NaN where that isn't known."""
        ratio = math.nan
        if self._logits is not None:
            ratio = gradient_ratio(logit_gradient_norms(self.loss, *self._logits))
        self.looks_at_gradients, self._logits = False, None
        return self.measures.of_step(self.loss.last, clipped, ratio, self._waited_s)

    def waits(self) -> None:
        """Notes that from here on nnU-Net's loop waits for a batch."""
        self._waiting_since = perf_counter()

    def of_validation_step(self) -> np.ndarray:
        """Returns the numbers of the validation step just done."""
        return self.measures.of_validation_step(self.loss.last)

    def _keep_logits(self, loss: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        """Forward hook of the loss: it sees the logits, whichever recipe's step computes them."""
        if self.looks_at_gradients and "gradient_ratio" in self.measures.keys:
            logits, target = inputs
            logits = logits.detach() if isinstance(logits, torch.Tensor) else [scale.detach() for scale in logits]
            self._logits = (logits, target)

    def log_epoch(
        self,
        logger: MetaLogger,
        epoch: int,
        train_outputs: Sequence[dict[str, Any]],
        val_outputs: Sequence[dict[str, Any]],
    ) -> list[str]:
        """Logs an epoch's values from the `measures` of its steps; returns them as lines."""
        steps, validation_steps = (
            of_all_processes([output["measures"] for output in outputs if "measures" in output])
            for outputs in (train_outputs, val_outputs)
        )
        learned = self.loss.learned
        learned_s = math.nan if learned is None else learned.log_variance.item()
        values = self.measures.of_epoch(steps, validation_steps, learned_s)
        if are_several():
            values["data_wait_s"] /= dist.get_world_size()
        for key, value in values.items():
            logger.log(key, value, epoch)
        return self.measures.lines(values)

    def draw(self, logged: MutableMapping[str, list], folder: str) -> None:
        """Draws the training's curves into the results folder."""
        draw_progress(logged, self.measures, Path(folder) / FIGURE)


def nnunets_step_was_clipped(network: nn.Module) -> float:
    """Tells whether nnU-Net's step scaled the gradients down, which then have its largest norm; NaN if not finite."""
    norm = torch.nn.utils.clip_grad_norm_(network.parameters(), math.inf).item()
    return float(norm > 0.999 * NNUNETS_MAX_NORM) if math.isfinite(norm) else math.nan


def best_epoch(averages: Sequence[float]) -> int | None:
    """Returns the epoch of `checkpoint_best.pth`: where the moving average of the pseudo Dice was highest first."""
    return int(np.argmax(averages)) if averages else None


def closing_words(trainer: str, epoch: int | None) -> tuple[str, str]:
    """Returns what the log says at the end: the best epoch, and how to predict."""
    ours, thesis = step_size(trainer), step_size(trainer, thesis_overlap=True)
    return (
        f"The moving average of the pseudo Dice was highest in epoch {epoch} (checkpoint_best.pth). "
        "Validation takes the final weights, with --val_best those.",
        f"Predict with nnUNetv2_predict -step_size {ours:g}, as all combinations are compared here; the thesis's "
        f"overlap for this one is -step_size {thesis:g} (--thesis-overlap).",
    )
