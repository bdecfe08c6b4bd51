"""The folder of one fold's training: which checkpoints and which validation it has, and how far it came."""

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from nnunetv2_sizepenalty.nnunet_io.checkpoints import unreadable
from nnunetv2_sizepenalty.nnunet_io.file_names import CHECKPOINTS, FINAL, SUMMARY, VALIDATION
from nnunetv2_sizepenalty.nnunet_io.json_file import read_json

_PREFIX = "fold_"
# bytes at the end of a training log, in which the last epoch stands
_TAIL = 20_000


def fold_name(fold: str | int) -> str:
    """Names a fold's folder; the fold is a number or "all"."""
    return f"{_PREFIX}{fold}"


def folds_in(model_folder: Path) -> tuple[str, ...]:
    """Lists the folds that were begun, "all" last."""
    folds = [path.name.removeprefix(_PREFIX) for path in model_folder.glob(f"{_PREFIX}*") if path.is_dir()]
    return tuple(sorted(folds, key=lambda fold: (not fold.isdigit(), int(fold) if fold.isdigit() else 0, fold)))


def saved_probabilities(fold_folder: Path, case: str) -> Path:
    """Names the file of a case's probabilities, which the final validation writes with --npz."""
    return fold_folder / VALIDATION / f"{case}.npz"


def validation_summary(fold_folder: Path) -> Path:
    """Names the file that the final validation writes last, with nnU-Net's own scores."""
    return fold_folder / VALIDATION / SUMMARY


def validated_cases(fold_folder: Path, file_ending: str) -> list[str]:
    """Reads which cases the final validation had, for folds of which no split tells.

    Those are fold "all" and a fold beyond `splits_final.json`, for which nnU-Net draws a random split.
    """
    cases = read_json(validation_summary(fold_folder))["metric_per_case"]
    return [Path(case["prediction_file"]).name.removesuffix(file_ending) for case in cases]


def existing_checkpoint(fold_folder: Path) -> Path | None:
    """Finds the checkpoint that knows most epochs; None where there is none."""
    return next((fold_folder / name for name in CHECKPOINTS if (fold_folder / name).is_file()), None)


def resumable_checkpoint(fold_folder: Path) -> str | None:
    """Finds the checkpoint that nnUNetv2_train --c would take; None where the training has to start anew."""
    return next((name for name in CHECKPOINTS if unreadable(fold_folder / name) is None), None)


def set_aside_unreadable(fold_folder: Path) -> list[str]:
    """Renames checkpoints that can't be loaded, which nnUNetv2_train --c would stumble over; returns what to log."""
    lines = []
    for name in CHECKPOINTS:
        path = fold_folder / name
        if path.exists() and (reason := unreadable(path)):
            path.replace(path.with_suffix(".unreadable"))
            lines.append(f"{name} was not used and is called {path.stem}.unreadable now: {reason}")
    return lines


def finished(fold_folder: Path) -> bool:
    """Tells whether the training reached its last epoch."""
    return unreadable(fold_folder / FINAL) is None


def validated(fold_folder: Path, cases: Sequence[str]) -> bool:
    """Tells whether nnU-Net's final validation is complete, with probabilities, and of this very checkpoint."""
    summary = validation_summary(fold_folder)
    try:
        written, checkpoint = (path.stat().st_mtime_ns for path in (summary, fold_folder / FINAL))
    except OSError:
        return False
    return written >= checkpoint and _whole(fold_folder, tuple(cases), written)


@lru_cache(maxsize=4096)
def _whole(fold_folder: Path, cases: tuple[str, ...], mtime_ns: int) -> bool:
    """Whether the file that nnU-Net writes last is whole and the cases' probabilities are there."""
    try:
        json.loads(validation_summary(fold_folder).read_text())
    except (OSError, ValueError):
        return False
    return all(saved_probabilities(fold_folder, case).is_file() for case in cases)


def progress(fold_folder: Path) -> str:
    """Reads the last epoch and its pseudo Dice from nnU-Net's training log, in a few words; empty without a log."""
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
