"""Which cases a fold is scored on: its test part, or its validation cases where the split has none."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunetv2_sizepenalty.atomic import atomic_folder
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.dataset import Dataset, image_files
from nnunetv2_sizepenalty.nnunet_io.file_names import SPLITS, TEST_FOLDS
from nnunetv2_sizepenalty.nnunet_io.folds import read_folds

CASES = "cases.json"


@dataclass(frozen=True)
class Part:
    """The cases of one fold.

    Attributes:
        validation: nnU-Net's validation cases, on which thresholds are chosen.
        scored: the cases that are predicted and evaluated.
        cross_fitted: whether `scored` are the validation cases, so that their threshold comes from the other folds.
    """

    validation: tuple[str, ...]
    scored: tuple[str, ...]
    cross_fitted: bool


def read_parts(dataset: Dataset, folds: Sequence[int]) -> dict[int, Part]:
    """Fold -> its cases, from splits_final.json and test_folds.json.

    Raises:
        UserError: there is no split or no such fold, or a fold can't be scored without having chosen on its own cases.
    """
    path, known = dataset.folder / SPLITS, read_folds(dataset.folder)
    if known is None:
        raise UserError(f"{path} is missing: write it with `nnUNetv2_sizepenalty split -d {dataset.name}`")
    if beyond := [fold for fold in folds if fold >= len(known)]:
        raise UserError(f"{path} has folds 0 to {len(known) - 1}: leave out fold {beyond[0]}")
    validation = {fold: tuple(sorted(known[fold].val)) for fold in folds}
    if not any(known[fold].test for fold in folds):
        if len(folds) < 2:
            raise UserError(
                f"{path} has no test part, and one fold can't choose a threshold for its own validation cases: name "
                "two folds or more, or make a test part with `nnUNetv2_sizepenalty split --holdout`"
            )
        return {fold: Part(cases, cases, cross_fitted=True) for fold, cases in validation.items()}
    if without := [fold for fold in folds if not known[fold].test]:
        raise UserError(
            f"{dataset.folder / TEST_FOLDS}: fold {without[0]} has no test part and others do; leave it out"
        )
    return {fold: Part(validation[fold], tuple(sorted(known[fold].test)), cross_fitted=False) for fold in folds}


def write_inputs(dataset: Dataset, part: Part, folder: Path) -> None:
    """Links the scored cases' images and references into `folder`, under nnU-Net's names.

    A folder that is right already is left as it is.

    Raises:
        UserError: an image or a reference is missing.
    """
    ending, images = dataset.settings["file_ending"], image_files(dataset)
    if missing := [case for case in part.scored if not images.get(case)]:
        raise UserError(f"{dataset.images}: no image of {missing[0]}, which a fold is scored on")
    links = {
        f"images/{case}_{channel:04d}{ending}": path
        for case in part.scored
        for channel, path in enumerate(images[case])
    } | {f"labels/{case}{ending}": dataset.labels[case] for case in part.scored}
    if missing := [path for path in links.values() if not path.exists()]:
        raise UserError(f"{missing[0]} is missing: a fold is scored on it")
    content = json.dumps({name: str(path.resolve()) for name, path in links.items()}, indent=1)
    listing = folder / CASES
    if listing.is_file() and listing.read_text(encoding="utf-8") == content:
        return
    with atomic_folder(folder, overwrite=True) as new:
        for name, path in links.items():
            (new / name).parent.mkdir(exist_ok=True)
            (new / name).symlink_to(path.resolve())
        (new / CASES).write_text(content, encoding="utf-8")
