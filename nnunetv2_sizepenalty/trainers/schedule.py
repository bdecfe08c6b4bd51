"""What changes with the place in a training: the learning rate of each iteration, and the weight of S."""

import warnings

from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR


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


def late_factor(epoch: float, epochs: int, percent: float) -> float:
    """1 in the last `percent` % of a training of `epochs`, 0 before; `epoch` counts the part of one that is done."""
    return float(epoch >= epochs * (1 - percent / 100))


def anneal_factor(epoch: float, over: float) -> float:
    """From 0 at the start to 1 after `over` epochs, linearly."""
    return min(1.0, epoch / over)
