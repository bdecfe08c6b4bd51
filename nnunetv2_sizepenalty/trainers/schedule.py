"""What changes with the place in a training: the learning rate of each iteration, and the weight of S."""

import warnings

from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR

from nnunetv2_sizepenalty.losses import CompoundLoss, DeepSupervision, SizeTerm


class IterationOneCycleLR(OneCycleLR):
    """torch's OneCycleLR (thesis, section 4.4) with nnU-Net's `step(epoch)` as a re-synchronisation.

    `step()` at the end of an iteration advances by one; `step(epoch)` at an epoch's start puts the schedule where
    that epoch begins (`iteration` steps further when an interrupted epoch goes on). So a continued run follows the
    same learning rates without any scheduler state in the checkpoint. torch's momentum cycling stays on: AdamW's
    beta1 goes from 0.95 to 0.85 and back.

    Args:
        optimizer: its groups' learning rates are overwritten.
        max_lr: the peak.
        epochs: of the whole run.
        iterations_per_epoch: optimiser steps of an epoch.
        pct_start: share of the run that rises.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float,
        epochs: int,
        iterations_per_epoch: int,
        pct_start: float,
        div_factor: float,
        final_div_factor: float,
    ):
        self.iterations_per_epoch = iterations_per_epoch
        total_steps = epochs * iterations_per_epoch
        # torch divides by zero where the rise ends exactly at the first step
        if pct_start * total_steps == 1:
            total_steps += 1
        super().__init__(
            optimizer,
            max_lr,
            total_steps=total_steps,
            pct_start=pct_start,
            anneal_strategy="cos",
            div_factor=div_factor,
            final_div_factor=final_div_factor,
        )

    def step(self, epoch: int | None = None, iteration: int = 0) -> None:
        """Advances by one iteration, or with `epoch` goes to that epoch's iteration `iteration`."""
        if epoch is None:
            # the last iteration's step would lead beyond the end of the cycle, where torch raises
            if self.last_epoch + 1 < self.total_steps:
                super().step()
            return
        # an epoch that has all its steps may be the last one
        position = min(epoch * self.iterations_per_epoch + iteration, self.total_steps - 1)
        if self.last_epoch != position:
            self.last_epoch = position - 1
            with warnings.catch_warnings():
                # in a continued run this precedes the process's first optimizer.step()
                warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step", category=UserWarning)
                super().step()


def schedule_size_weight(
    loss: CompoundLoss | DeepSupervision, weight: float, size_term: SizeTerm, epoch: float, epochs: int
) -> None:
    """Sets the weight of S for the step to come, where `size_term` has a schedule.

    Args:
        weight: in full.
        epoch: counts the part of one that is done.
        epochs: of the whole training.
    """
    if size_term.late_percent is not None or size_term.anneal_epochs is not None:
        loss.weights["S"] = weight * size_term.schedule_factor(epoch, epochs)


def train_learned_weight(loss: CompoundLoss | DeepSupervision, optimizer: Optimizer) -> None:
    """Gives the optimiser the learned weight of S, where there is one.

    It is trained as the network's parameters, learning rate and schedule included, but without decay to 0.
    """
    if loss.learned is not None:
        like = {key: value for key, value in optimizer.param_groups[0].items() if key != "params"}
        optimizer.add_param_group({**like, "params": list(loss.learned.parameters()), "weight_decay": 0.0})
