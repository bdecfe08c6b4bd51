"""nnU-Net's checkpoints, read without running code that a file brings along."""

import pickle
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from nnunetv2_sizepenalty.errors import UserError

# nnU-Net logs numpy scalars; under numpy 1 the function that rebuilds them has another address.
_scalar = np.dtype("float32").type(0).__reduce__()[0]
_DTYPES = [type(np.dtype(kind)) for kind in "?bBhHiIlLqQefdU"]
_NUMPY = [_scalar, (_scalar, "numpy.core.multiarray.scalar"), (_scalar, "numpy._core.multiarray.scalar"), np.dtype]


def load_checkpoint(path: Path, *, mmap: bool = False) -> dict[str, Any]:
    """Reads a checkpoint onto the CPU; with `mmap` the weights stay in the file until they are used.

    Raises:
        UserError: the file is missing, truncated, or holds more than numbers, texts and tensors.
    """
    import torch

    try:
        with torch.serialization.safe_globals([*_NUMPY, *_DTYPES]):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: name another checkpoint with -chk") from None
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{path} is no checkpoint that can be read safely ({reason})") from error


def unreadable(path: Path) -> str | None:
    """Why a checkpoint can't be loaded; None for a sound one.

    nnU-Net's own trainers write in place, so one that was killed while writing leaves a part of a file.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return "missing"
    return _unreadable(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _unreadable(path: Path, size: int, mtime_ns: int) -> str | None:
    try:
        load_checkpoint(path, mmap=True)
    except UserError as error:
        # whole, but with objects of somebody's trainer that are not read here: nnU-Net will
        if isinstance(error.__cause__, pickle.UnpicklingError) and zipfile.is_zipfile(path):
            return None
        return str(error)
    return None
