"""Runs commands as a user would type them, with their output in a log file."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.scripts import installed_script


def run(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
    """Prints `command` and runs it from this environment's own scripts, its output in `log`.

    Raises:
        UserError: there is no such script, or it failed; its last lines are shown.
    """
    print("$ " + " ".join(map(str, command)), flush=True)
    script = installed_script(command[0])
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        failed = subprocess.run(
            [script, *map(str, command[1:])],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **environment},
        ).returncode
    if failed:
        print("\n".join(log.read_text(errors="replace").splitlines()[-15:]), flush=True)
        raise UserError(f"{command[0]} ended with exit code {failed}: its output is in {log}")
