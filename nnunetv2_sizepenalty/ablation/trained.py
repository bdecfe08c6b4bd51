"""What nnU-Net's fold folder says about a training: begun, to be continued, finished, validated."""

import json
import re
import zipfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from pickle import UnpicklingError

from nnunetv2_sizepenalty.ablation.runs import Run
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.checkpoints import load_checkpoint

FINAL = "checkpoint_final.pth"
# in the order in which nnUNetv2_train --c takes them
CHECKPOINTS = (FINAL, "checkpoint_latest.pth", "checkpoint_best.pth")
_TAIL = 20_000


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
        if isinstance(error.__cause__, UnpicklingError) and zipfile.is_zipfile(path):
            return None
        return str(error)
    return None


def finished(fold_folder: Path) -> bool:
    """Whether the training reached its last epoch."""
    return unreadable(fold_folder / FINAL) is None


def validated(fold_folder: Path, cases: Sequence[str]) -> bool:
    """Whether nnU-Net's final validation is complete, with probabilities, and of this very checkpoint."""
    summary = fold_folder / "validation" / "summary.json"
    try:
        written, checkpoint = (path.stat().st_mtime_ns for path in (summary, fold_folder / FINAL))
    except OSError:
        return False
    return written >= checkpoint and _whole(summary, tuple(cases), written)


@lru_cache(maxsize=4096)
def _whole(summary: Path, cases: tuple[str, ...], mtime_ns: int) -> bool:
    """Whether the file that nnU-Net writes last is whole and the cases' probabilities are there."""
    try:
        json.loads(summary.read_text())
    except (OSError, ValueError):
        return False
    return all((summary.parent / f"{case}.npz").is_file() for case in cases)


def trained(run: Run) -> bool:
    """Whether nothing is left of the run's training."""
    return finished(run.fold_folder) and validated(run.fold_folder, run.part.validation)


def set_aside_unreadable(fold_folder: Path) -> list[str]:
    """Renames checkpoints that can't be loaded, which nnUNetv2_train --c would stumble over; returns what to log."""
    lines = []
    for name in CHECKPOINTS:
        path = fold_folder / name
        if path.exists() and (reason := unreadable(path)):
            path.replace(path.with_suffix(".unreadable"))
            lines.append(f"{name} was not used and is called {path.stem}.unreadable now: {reason}")
    return lines


def best_left(fold_folder: Path) -> str | None:
    """The checkpoint that nnUNetv2_train --c would take; None where the training has to start anew."""
    return next((name for name in CHECKPOINTS if unreadable(fold_folder / name) is None), None)


def progress(fold_folder: Path) -> str:
    """The last epoch and its pseudo Dice from nnU-Net's training log, in a few words; empty without a log."""
    logs = sorted(fold_folder.glob("training_log_*.txt"), key=lambda path: path.stat().st_mtime)
    if not logs:
        return ""
    with logs[-1].open("rb") as file:
        file.seek(max(0, logs[-1].stat().st_size - _TAIL))
        text = file.read().decode(errors="replace")
    epochs = re.findall(r": Epoch (\d+)", text)
    found = re.findall(r"Pseudo dice \[(.*?)\]", text)
    words = [f"epoch {epochs[-1]}"] if epochs else []
    if found:
        values = re.findall(r"(?:^|[ (])(nan|\d*\.\d+(?:e-?\d+)?|[01])(?=[,)\s]|$)", found[-1])
        words.append(f"Dice {' '.join(f'{float(value):.3f}' for value in values)}")
    return ", ".join(words)
