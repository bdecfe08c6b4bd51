"""Failures to write that a user can mend, told in one line."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nnunetv2_sizepenalty.errors import UserError

_MENDABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOSPC, errno.EDQUOT}


@contextmanager
def failures_of(output: Path) -> Iterator[None]:
    """Turns a folder that can't be written, or a full disk, into a UserError."""
    try:
        yield
    except OSError as error:
        if error.errno not in _MENDABLE:
            raise
        reason = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
        raise UserError(f"{output} can't be written ({reason}): name another folder with -o, or make room") from error
