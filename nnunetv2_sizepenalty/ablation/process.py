"""nnU-Net's commands as child processes, our functions in this one; their output in the run's log."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from shlex import join
from time import monotonic, sleep
from typing import TextIO

import psutil

from nnunetv2_sizepenalty.ablation.calls import Call
from nnunetv2_sizepenalty.scripts import installed_script

# Slurm and a terminal signal whole process groups, but when a training is to stop is for its parent to say: the child
# leaves submitit's signal and Ctrl-C alone. A disposition that is set before exec survives it.
_EXEC_IGNORING = "import os, signal, sys; [signal.signal(int(n), signal.SIG_IGN) for n in sys.argv[1].split()]; "
_EXEC_IGNORING += "os.execv(sys.argv[2], sys.argv[2:])"


class CommandFailed(Exception):
    """A command of nnU-Net ended with an exit code other than 0, or without its output."""


def submitit_signal() -> signal.Signals:
    """Returns the signal by which submitit learns that a job's time is nearly up."""
    return signal.Signals["SIG" + os.environ.get("SUBMITIT_PREEMPT_SIGNAL", "USR2")]


def open_log(path: Path) -> TextIO:
    """Opens a log to append to; each line is written at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("a", encoding="utf-8", buffering=1)


def write_line(log: TextIO, text: str) -> None:
    """Writes a line of our own, with the time."""
    log.write(f"[{datetime.now():%Y-%m-%d %H:%M:%S}] {text}\n")


def start(
    command: Sequence[str], log: TextIO, environment: Mapping[str, str], descriptors: Sequence[int] = ()
) -> subprocess.Popen:
    """Starts one of nnU-Net's commands.

    Args:
        environment: beside this process's own.
        descriptors: open files that the child keeps open too.

    Raises:
        UserError: it isn't installed beside this Python.
    """
    write_line(log, f"$ {join(command)}")
    script = installed_script(command[0])
    ignored = f"{int(submitit_signal())} {int(signal.SIGINT)}"
    return subprocess.Popen(
        [sys.executable, "-IS", "-c", _EXEC_IGNORING, ignored, script, *command[1:]],
        stdout=log,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
        pass_fds=tuple(descriptors),
    )


def ended(child: subprocess.Popen) -> bool:
    """Asks the kernel itself: Popen.wait holds a lock that a signal's handler in this thread would wait for."""
    if child.returncode is None:
        try:
            pid, status = os.waitpid(child.pid, os.WNOHANG)
        except ChildProcessError:
            return True
        if pid:
            child.returncode = os.waitstatus_to_exitcode(status)
    return child.returncode is not None


def stop(child: subprocess.Popen, patience_s: float) -> None:
    """Lets a child save and end, and kills it if it doesn't in time; its own workers end with it."""
    if ended(child):
        return
    # nnUNetv2_predict ends by the signal itself, and leaves its workers waiting for work for ever
    workers = psutil.Process(child.pid).children(recursive=True)
    os.kill(child.pid, signal.SIGTERM)
    until = monotonic() + patience_s
    while not ended(child):
        if monotonic() > until:
            os.kill(child.pid, signal.SIGKILL)
            until = float("inf")
        sleep(0.1)
    for worker in workers:
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.kill()


def call(work: Call, log: TextIO) -> None:
    """Calls a function of this package in this process, which has what it imports loaded already.

    Raises:
        UserError: what the function raises.
    """
    write_line(log, f"$ {join(work.what + work.how)}")
    with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
        work()
