"""A lock file that the kernel releases when its last owner is gone, however that ended."""

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

from nnunetv2_sizepenalty.errors import UserError

# Whoever only looks holds it for microseconds; that is no owner.
_PATIENCE_S = 2.0


def owner() -> str:
    """Names this process, and the Slurm job that it is in."""
    job = os.environ.get("SLURM_JOB_ID")
    return f"pid {os.getpid()} on {socket.gethostname()}" + (f", Slurm job {job}" if job else "")


@contextlib.contextmanager
def held(path: Path) -> Iterator[int | None]:
    """Yields the lock's file descriptor, or None where another process has it.

    A child process that gets the descriptor (`pass_fds`) is an owner too, so that a training whose parent was killed
    is not started a second time beside it.

    Raises:
        UserError: the file system knows no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if not _acquired(descriptor, path):
            yield None
            return
        os.ftruncate(descriptor, 0)
        os.write(descriptor, owner().encode())
        yield descriptor
    finally:
        os.close(descriptor)


def _acquired(descriptor: int, path: Path) -> bool:
    until = monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if monotonic() > until:
                return False
            sleep(0.05)
        except OSError as error:
            raise UserError(
                f"{path}: this file system has no locks ({error.strerror}); mount it with them (Lustre: -o flock), or "
                "put nnUNet_results elsewhere"
            ) from None


def holder(path: Path) -> str | None:
    """Says who has the lock; None where nobody has."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        return os.read(descriptor, 1000).decode(errors="replace") or "another process"
    except OSError:
        return None
    finally:
        os.close(descriptor)
