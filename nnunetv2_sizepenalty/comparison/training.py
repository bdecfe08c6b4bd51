"""Training curves and epochs from nnU-Net's results folders."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.file_names import FINAL
from nnunetv2_sizepenalty.nnunet_io.fold_folder import existing_checkpoint, fold_name, folds_in

# nnU-Net's names of what it logs each epoch.
COLUMNS = {"train_losses": "training loss", "val_losses": "validation loss", "mean_fg_dice": "pseudo Dice"}


@dataclass(frozen=True)
class Training:
    """One fold's log: `curves` has a row per epoch (epoch, COLUMNS' values), `best_epoch` as nnU-Net counts, from 0."""

    folder: Path
    curves: pd.DataFrame
    best_epoch: int


def read_trainings(folders: Sequence[Path]) -> list[Training]:
    """The folds of one model.

    Args:
        folders: fold folders, or trainer folders whose `fold_*` are all taken.

    Raises:
        UserError: a folder holds no checkpoint, or one that can't be read.
    """
    folds = []
    for folder in folders:
        inside = sorted(path for fold in folds_in(folder) if existing_checkpoint(path := folder / fold_name(fold)))
        if not inside and not existing_checkpoint(folder):
            raise UserError(f"{folder}: no {FINAL} in it or in its fold_*; name nnU-Net's results folder")
        folds += inside or [folder]
    return [_read(fold) for fold in folds]


def _read(folder: Path) -> Training:
    from nnunetv2_sizepenalty.nnunet_io.checkpoints import load_checkpoint  # loads torch

    path = existing_checkpoint(folder)
    logged = load_checkpoint(path, mmap=True).get("logging")
    if not isinstance(logged, dict) or not all(logged.get(key) for key in (*COLUMNS, "ema_fg_dice")):
        raise UserError(f"{path}: holds no training log of nnU-Net; leave it out of --results")
    epochs = min(len(logged[key]) for key in COLUMNS)
    curves = pd.DataFrame(
        {"epoch": range(epochs)} | {title: np.asarray(logged[key][:epochs], float) for key, title in COLUMNS.items()}
    )
    averages = np.nan_to_num(np.asarray(logged["ema_fg_dice"], dtype=float), nan=-np.inf)
    return Training(folder, curves, int(averages.argmax()))


def mean_curves(trainings: Mapping[str, Sequence[Training]]) -> pd.DataFrame:
    """Columns model, epoch, curve, value: the mean over the folds that reached the epoch."""
    frames = [
        pd.concat([t.curves for t in folds]).groupby("epoch", as_index=False).mean().assign(model=name)
        for name, folds in trainings.items()
    ]
    columns = list(COLUMNS.values())
    return pd.concat(frames).melt(["model", "epoch"], columns, "curve", "value").dropna(ignore_index=True)
