"""The learning rate follows torch's OneCycleLR at every step, also after an interruption anywhere."""

import pytest
import torch
from torch.optim.lr_scheduler import OneCycleLR

from nnunetv2_sizepenalty.trainers.schedule import IterationOneCycleLR

SETTINGS = {"pct_start": 0.2, "div_factor": 25.0, "final_div_factor": 1000.0}


def optimizer():
    return torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], 3e-4, weight_decay=1e-4)


def rates(total_steps):
    reference = optimizer()
    schedule = OneCycleLR(reference, 3e-4, total_steps=total_steps, anneal_strategy="cos", **SETTINGS)
    found = []
    for step in range(total_steps):
        found.append((reference.param_groups[0]["lr"], reference.param_groups[0]["betas"]))
        reference.step()
        if step + 1 < total_steps:
            schedule.step()
    return found


def run(epochs, iterations, first_epoch=0, first_iteration=0):
    ours = optimizer()
    schedule = IterationOneCycleLR(ours, 3e-4, epochs, iterations, **SETTINGS)
    found = []
    for epoch in range(first_epoch, epochs):
        schedule.step(epoch)  # nnU-Net's on_train_epoch_start
        start = first_iteration if epoch == first_epoch else 0
        if start:
            schedule.step(epoch, start)
        for _ in range(start, iterations):
            found.append((ours.param_groups[0]["lr"], ours.param_groups[0]["betas"]))
            ours.step()
            schedule.step()
    return found


@pytest.mark.parametrize(("epochs", "iterations"), [(7, 13), (1, 3), (2, 1), (400, 3)])
def test_whole_run_equals_torch(epochs, iterations):
    assert run(epochs, iterations) == rates(epochs * iterations)


@pytest.mark.parametrize(("epoch", "iteration"), [(0, 1), (1, 0), (3, 7), (6, 12)])
def test_continued_run_equals_torch(epoch, iteration):
    assert run(7, 13, epoch, iteration) == rates(7 * 13)[epoch * 13 + iteration :]


@pytest.mark.parametrize(("epochs", "iterations"), [(7, 13), (1, 5)])
def test_a_run_stopped_after_its_last_step_stays_at_the_last_rate(epochs, iterations):
    schedules = []
    for _ in range(2):
        ours = optimizer()
        schedules.append((ours, IterationOneCycleLR(ours, 3e-4, epochs, iterations, **SETTINGS)))
    (whole, schedule), (continued, other) = schedules
    for _ in range(epochs * iterations):
        whole.step()
        schedule.step()
    other.step(epochs - 1)
    other.step(epochs - 1, iterations)
    assert continued.param_groups[0]["lr"] == whole.param_groups[0]["lr"]


def test_a_rise_that_ends_at_the_first_step_does_not_divide_by_zero():
    assert len(run(1, 5)) == 5
