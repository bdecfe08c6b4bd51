"""The training cases of a fold, as nnU-Net's trainer finds them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from nnunetv2.training.dataloading.nnunet_dataset import infer_dataset_class, nnUNetBaseDataset

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.file_names import SPLITS
from nnunetv2_sizepenalty.nnunet_io.folds import nnunet_folds, read_folds


def training_cases(folder: str | Path, fold: str) -> nnUNetBaseDataset:
    """nnU-Net's dataset of a fold's training cases.

    Without `splits_final.json` they are those of the split that nnU-Net would make; none is written.

    Args:
        folder: preprocessed cases of a configuration, in the dataset's preprocessed folder.
        fold: a number, or "all".

    Raises:
        UserError: there is no such fold, or its cases have not been preprocessed.
    """
    folder = Path(folder)
    if not folder.is_dir() or not any(folder.glob("*.pkl")):
        raise UserError(f"{folder}: holds no preprocessed cases; run nnUNetv2_preprocess for this plan first")
    dataset_class = infer_dataset_class(str(folder))
    there = sorted(dataset_class.get_identifiers(str(folder)))
    cases = there if fold == "all" else _of_fold(folder.parent, there, fold)
    if missing := sorted(set(cases) - set(there)):
        raise UserError(
            f"{folder}: case {missing[0]} of fold {fold} is not preprocessed ({len(missing)} of {len(cases)} are not)"
        )
    return dataset_class(str(folder), list(cases))


def read_preprocessed(folder: str | Path, case: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Reads what nnU-Net preprocessed of a case: its segmentation (1, z, y, x), -1 outside its image, and properties.

    The image is opened and not read.
    """
    _, segmentation, _, properties = infer_dataset_class(str(folder))(str(folder), [case]).load_case(case)
    return np.asarray(segmentation), properties


def _of_fold(folder: Path, cases: Sequence[str], fold: str) -> tuple[str, ...]:
    folds = read_folds(folder)
    if folds is None:
        folds = nnunet_folds(cases)
        if not folds:
            raise UserError(f"{folder / SPLITS}: not there, and {len(cases)} cases can't be split in 5; use -f all")
    if not fold.isdecimal() or int(fold) >= len(folds):
        raise UserError(f"-f {fold}: there are folds 0 to {len(folds) - 1}, and all")
    return folds[int(fold)].train
