"""Runs commands as a user would type them, with their output in a log file."""

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

from nnunetv2_sizepenalty.errors import UserError


def start(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> subprocess.Popen:
    """Prints and starts `command`, from this environment's own scripts.

    Raises:
        UserError: there is no such script.
    """
    print("$ " + " ".join(map(str, command)), flush=True)
    script = shutil.which(command[0], path=sysconfig.get_path("scripts"))
    if script is None:
        raise UserError(f"{command[0]} is not installed beside this Python: pip install nnunetv2")
    log.parent.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [script, *map(str, command[1:])],
        stdout=log.open("w"),
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )


def wait(process: subprocess.Popen, log: Path) -> None:
    """Waits for the end of `process`.

    Raises:
        UserError: it failed; its last lines are shown.
    """
    try:
        failed = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if failed:
        tail = log.read_text(errors="replace").splitlines()[-15:]
        print("\n".join(tail), flush=True)
        raise UserError(f"{Path(process.args[0]).name} ended with exit code {failed}: its output is in {log}")


def run(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
    """`start` and `wait`."""
    wait(start(command, log, environment), log)
