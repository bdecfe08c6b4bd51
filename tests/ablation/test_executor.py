"""How many runs a machine takes at a time, on which GPUs, and how they share a CPU."""

import os

import pytest

from nnunetv2_sizepenalty.ablation.executor import local_slots, share_cores
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


@pytest.mark.parametrize(
    ("slots", "before", "policy"),
    [
        ([(), ()], None, "PASSIVE"),
        ([(), ()], "ACTIVE", "ACTIVE"),
        ([()], None, None),
        ([(0,), (1,)], None, None),
    ],
    ids=["two on a CPU", "the user's own", "one on a CPU", "on GPUs"],
)
def test_only_runs_beside_each_other_on_a_cpu_wait_without_spinning(slots, before, policy, monkeypatch):
    environment = {} if before is None else {"OMP_WAIT_POLICY": before}
    monkeypatch.setattr(os, "environ", environment)
    share_cores(slots)
    assert environment.get("OMP_WAIT_POLICY") == policy
