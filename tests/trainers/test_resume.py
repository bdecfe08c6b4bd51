"""A training's place within its epoch: whatever stops it, and however often, it ends as if nothing had."""

from contextlib import suppress

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnunetv2_sizepenalty.trainers.resume import EpochProgress, changed_settings
from nnunetv2_sizepenalty.trainers.schedule import IterationOneCycleLR

VALIDATION_STEPS = 2


class Stopped(Exception):
    pass


class Run:
    """nnU-Net's loop over epochs and steps, in which a step notes its place and its learning rate."""

    def __init__(self, epochs, iterations, checkpoint=None, moments=()):
        self.epochs, self.num_iterations_per_epoch = epochs, iterations
        self.moments = dict(moments)  # how many steps of this process are done -> what happens then
        self.progress = EpochProgress()
        self.optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], 3e-4)
        self.schedule = IterationOneCycleLR(
            self.optimizer, 3e-4, epochs, iterations, pct_start=0.2, div_factor=25, final_div_factor=1000
        )
        self.epoch, self.steps, self.done = 0, [], 0
        self.checkpoint = checkpoint
        if checkpoint is not None:
            assert changed_settings(checkpoint, self.settings) == []
            self.progress.restore(checkpoint)
            self.epoch, self.steps = checkpoint["epoch"], list(checkpoint["steps"])

    @property
    def settings(self):
        return {"iterations_per_epoch": self.num_iterations_per_epoch}

    def save(self):
        self.checkpoint = {
            "settings": self.settings,
            **self.progress.state(),
            "epoch": self.epoch,
            "steps": list(self.steps),
        }

    def step_is_done(self):
        self.done += 1
        what = self.moments.get(self.done)
        if what in ("SIGTERM", "SIGUSR1"):
            self.save()
        if what in ("SIGTERM", "SIGKILL"):
            raise Stopped

    def to_the_end(self):
        for epoch in range(self.epoch, self.epochs):
            self.epoch = epoch
            self.schedule.step(epoch)
            self.num_iterations_per_epoch = self.progress.begin(self.num_iterations_per_epoch)
            self.schedule.step(epoch, self.progress.iteration)
            for _ in range(self.num_iterations_per_epoch):
                self.num_iterations_per_epoch = self.progress.iterations
                self.steps.append((epoch, self.progress.iteration, self.optimizer.param_groups[0]["lr"]))
                self.optimizer.step()
                self.schedule.step()
                self.progress.outputs.append({"loss": np.float32(len(self.steps))})
                self.step_is_done()
            self.num_iterations_per_epoch = self.progress.iterations
            self.losses = [float(output["loss"]) for output in self.progress.outputs]
            for _ in range(VALIDATION_STEPS):
                self.step_is_done()
            self.progress.end()
        return self


MOMENTS = st.lists(
    st.tuples(st.integers(1, 40), st.sampled_from(["SIGTERM", "SIGUSR1", "SIGKILL"])), min_size=1, max_size=5
)


@settings(deadline=None, database=None)
@given(epochs=st.integers(1, 4), iterations=st.integers(1, 8), moments=MOMENTS)
def test_any_five_stops_end_in_the_run_that_was_not_stopped(epochs, iterations, moments):
    whole = Run(epochs, iterations).to_the_end()
    assert len(whole.steps) == epochs * iterations
    checkpoint = None
    for moment in moments:
        run = Run(epochs, iterations, checkpoint, [moment])
        with suppress(Stopped):
            run.to_the_end()
        checkpoint = run.checkpoint
    continued = Run(epochs, iterations, checkpoint).to_the_end()
    assert continued.steps == whole.steps
    assert continued.losses == whole.losses
    assert continued.optimizer.param_groups[0]["lr"] == whole.optimizer.param_groups[0]["lr"]


def stored(iterations, iteration, loss):
    return {
        "settings": {"combination": "DTS", "iterations_per_epoch": iterations},
        "iteration": iteration,
        "train_outputs": [{"loss": loss}] * iteration,
    }


def now(iterations):
    return {"combination": "DTS", "iterations_per_epoch": iterations}


def test_the_rest_of_an_epoch_that_0_1_0_stored_is_accepted():
    # stopped after 3 of 20 steps, and again after 5
    assert changed_settings(stored(17, 5, np.asarray(0.5, np.float32)), now(20)) == []


@pytest.mark.parametrize(
    "saved",
    [stored(17, 5, 0.5), stored(17, 2, np.float32(0.5)), stored(23, 5, np.float32(0.5)), stored(17, 0, 0.5)],
    ids=["not by 0.1.0", "more than was done", "longer", "at an epoch's end"],
)
def test_another_number_of_steps_is_told(saved):
    (text,) = changed_settings(saved, now(20))
    assert text == f"iterations_per_epoch {saved['settings']['iterations_per_epoch']} (now 20)"


def test_what_is_kept_of_steps_is_plain_and_comes_back_to_the_last_bit():
    outputs = [
        {"loss": np.asarray(value, np.float32), "measures": np.array([value / 3, np.nan], np.float32)}
        for value in (0.1, 7.0)
    ]
    state = EpochProgress(outputs).state()
    assert state["iteration"] == 2
    assert {type(value) for output in state["train_outputs"] for value in (output["loss"], *output["measures"])} == {
        float
    }
    by_0_1_0 = {"iteration": 2, "train_outputs": outputs}
    for saved in (state, by_0_1_0):
        progress = EpochProgress()
        progress.restore(saved)
        for restored, output in zip(progress.outputs, outputs, strict=True):
            for key in output:
                np.testing.assert_array_equal(restored[key], output[key])
                assert (restored[key].dtype, restored[key].shape) == (output[key].dtype, output[key].shape)
