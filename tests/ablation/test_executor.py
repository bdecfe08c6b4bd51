"""How many runs a machine takes at a time, and on which GPUs."""

import pytest

from nnunetv2_sizepenalty.ablation.executor import local_slots
from nnunetv2_sizepenalty.errors import UserError

SLOTS = {
    "a GPU each": ("cuda", 1, None, [(4,), (5,), (6,)]),
    "two GPUs each, one is left over": ("cuda", 2, None, [(4, 5)]),
    "on a CPU one after the other": ("cpu", 1, None, [()]),
    "on a CPU three at a time": ("cpu", 1, 3, [(), (), ()]),
}


@pytest.mark.parametrize(("device", "gpus", "jobs", "slots"), SLOTS.values(), ids=SLOTS)
def test_slots(device, gpus, jobs, slots, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    assert local_slots(device, gpus, jobs) == slots


@pytest.mark.parametrize(
    ("visible", "gpus", "jobs", "line"),
    [
        ("4,5,6", 4, None, "3 GPUs are here and a run takes 4"),
        ("4,5,6", 1, 2, "--jobs is for runs without GPUs"),
        ("GPU-8f2a", 1, None, "CUDA_VISIBLE_DEVICES=GPU-8f2a: name GPUs by their numbers"),
    ],
    ids=["too few", "jobs on GPUs", "not numbers"],
)
def test_what_does_not_fit_is_named(visible, gpus, jobs, line, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(UserError, match=line):
        local_slots("cuda", gpus, jobs)
