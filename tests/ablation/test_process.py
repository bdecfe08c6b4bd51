"""A child that is told to end takes its own workers with it."""

import signal
import subprocess
import sys

import psutil

from nnunetv2_sizepenalty.ablation.process import stop

# starts a worker that would outlive it, as nnUNetv2_predict does, and names it once all signals are set
PARENT = """
import signal, subprocess, sys, time
if sys.argv[1] == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(worker.pid, flush=True)
time.sleep(600)
"""


def stopped(kind: str, patience_s: float) -> tuple[int, psutil.Process]:
    """The exit code of a parent that was stopped, and its worker."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT, kind], stdout=subprocess.PIPE, text=True)
    with parent.stdout:
        worker = psutil.Process(int(parent.stdout.readline()))
    stop(parent, patience_s)
    psutil.wait_procs([worker], timeout=20)
    return parent.returncode, worker


def test_a_child_that_ends_by_the_signal_leaves_no_worker():
    code, worker = stopped("", patience_s=60)
    assert code == -signal.SIGTERM
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE


def test_a_child_that_does_not_end_is_killed_with_its_worker():
    code, worker = stopped("deaf", patience_s=0.2)
    assert code == -signal.SIGKILL
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE


def test_a_child_that_has_ended_is_left_alone():
    child = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    child.wait()
    stop(child, patience_s=0)
    assert child.returncode == 3
