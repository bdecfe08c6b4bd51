"""The probabilities that nnU-Net saves with --npz and --save_probabilities, read and checked."""

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nnunetv2_sizepenalty.errors import UserError

# of the sliding window in nnU-Net's own validation; nnUNetv2_train can't be told another
VALIDATION_STEP = 0.5


def read_probabilities(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Reads the probabilities of one case, float32 (channels, z, y, x), from what nnU-Net saved with --npz.

    Args:
        shape: the expected one.

    Raises:
        UserError: the file is truncated, something else, of another shape, or holds values outside 0 to 1.
    """
    probabilities = _load(path)
    check_probabilities(probabilities, shape, path)
    return probabilities


def count_channels(path: Path) -> int:
    """Counts the channels of one case's probabilities; UserError where the file can't be read."""
    return len(_load(path))


def _load(path: Path) -> np.ndarray:
    try:
        with np.load(path) as file:
            return file["probabilities"]
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(
            f"{path} can't be read as nnU-Net's probabilities ({error}): delete and write it anew"
        ) from error


def mean_probabilities(paths: Sequence[Path], shape: tuple[int, ...]) -> np.ndarray:
    """Reads one case of several models and averages as nnUNetv2_ensemble does, float32; UserError as above."""
    total = read_probabilities(paths[0], shape)
    if len(paths) == 1:
        return total
    total = total.astype(np.float32)
    for path in paths[1:]:
        total += read_probabilities(path, shape)
    total /= len(paths)
    return total


def check_probabilities(probabilities: np.ndarray, shape: tuple[int, ...], path: Path | str) -> None:
    """Refuses, with a UserError, another shape than `shape` and values that are no probabilities."""
    if probabilities.shape != shape:
        raise UserError(
            f"{path} has the shape {probabilities.shape}, reference and labels need {shape}: it belongs to another "
            "image or to other labels; write it anew"
        )
    if not (probabilities.min() >= 0 and probabilities.max() <= 1):  # false for NaN as well
        raise UserError(f"{path} holds values that are no probabilities: train or predict anew")
