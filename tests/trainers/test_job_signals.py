"""A job scheduler's signals: remembered until a step is done, and every process of a run leaves after the same one."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest
import signals_ddp_worker
import torch

from nnunetv2_sizepenalty.trainers.job_signals import JobSignals


@pytest.fixture
def signals():
    caught = JobSignals(torch.device("cpu"))
    caught.catch()
    yield caught
    caught.release()


def test_a_signal_is_told_once(signals):
    assert signals.agreed() is None
    signal.raise_signal(signal.SIGUSR1)
    assert signals.agreed() == signal.SIGUSR1
    assert signals.agreed() is None


@pytest.mark.parametrize("order", [(signal.SIGTERM, signal.SIGUSR1), (signal.SIGUSR1, signal.SIGTERM)])
def test_the_end_comes_before_a_mere_save(signals, order):
    for number in order:
        signal.raise_signal(number)
    assert signals.agreed() == signal.SIGTERM


def test_released_signals_are_their_owners_again():
    before = signal.getsignal(signal.SIGTERM)
    caught = JobSignals(torch.device("cpu"))
    caught.catch()
    assert signal.getsignal(signal.SIGTERM) is not before
    caught.release()
    assert signal.getsignal(signal.SIGTERM) is before


def read(*paths):
    """The texts of files, once all of them are written."""
    end = time.monotonic() + 120
    while not all(path.exists() and path.read_text() for path in paths):
        assert time.monotonic() < end, f"none of {[path.name for path in paths if not path.exists()]}"
        time.sleep(0.05)
    return [path.read_text() for path in paths]


@pytest.mark.integration
@pytest.mark.parametrize("to", ["second", "all"])
def test_two_processes_leave_after_the_same_step(tmp_path, to):
    process = subprocess.Popen(
        [sys.executable, signals_ddp_worker.__file__, str(tmp_path)], stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        _, second = read(*(tmp_path / f"pid{rank}" for rank in range(2)))
        if to == "second":
            os.kill(int(second), signal.SIGTERM)
        else:  # as a scheduler does: the process that started them dies at once
            os.killpg(process.pid, signal.SIGTERM)
        steps = read(*(tmp_path / f"left{rank}" for rank in range(2)))
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert steps[0] == steps[1]
