"""Which cases train, validate and test in each fold: nnU-Net's `splits_final.json`, and `test_folds.json` beside it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunetv2_sizepenalty.atomic import atomic_file
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.file_names import SPLITS, TEST_FOLDS


@dataclass(frozen=True)
class Fold:
    """Names of the cases of each part; `test` is empty where nothing is held out."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...] = ()


def read_folds(folder: Path) -> tuple[Fold, ...] | None:
    """Reads the folds in a dataset's preprocessed folder, cases in the files' order; None where there is no split.

    Raises:
        UserError: a file is no list of folds.
    """
    if not (folder / SPLITS).is_file():
        return None
    try:
        parts = list(json.loads((folder / SPLITS).read_text()))
        if not parts:
            raise ValueError
        tests = json.loads((folder / TEST_FOLDS).read_text()) if (folder / TEST_FOLDS).is_file() else []
        tests += [{"test": []}] * (len(parts) - len(tests))
        return tuple(
            Fold(tuple(part["train"]), tuple(part["val"]), tuple(test["test"]))
            for part, test in zip(parts, tests, strict=False)
        )
    except (ValueError, TypeError, KeyError):
        raise UserError(f"{folder / SPLITS}: not a list of folds; nnUNetv2_sizepenalty split writes one") from None


def nnunet_folds(cases: Sequence[str]) -> tuple[Fold, ...]:
    """Makes the folds that nnU-Net does when a training starts without a split; none of fewer than five cases."""
    from nnunetv2.utilities.crossval_split import generate_crossval_split

    if len(cases) < 5:
        return ()
    split = generate_crossval_split(sorted(cases))
    return tuple(Fold(tuple(map(str, fold["train"])), tuple(map(str, fold["val"]))) for fold in split)


def write_folds(folder: Path, folds: Sequence[Fold]) -> Path:
    """Writes both files, fold by fold; names sorted. Returns the path of nnU-Net's."""
    contents = {
        TEST_FOLDS: [{"test": sorted(fold.test)} for fold in folds],
        SPLITS: [{"train": sorted(fold.train), "val": sorted(fold.val)} for fold in folds],
    }
    for name, content in contents.items():
        with atomic_file(folder / name) as temporary:
            temporary.write_text(json.dumps(content, indent=4) + "\n")
    return folder / SPLITS
