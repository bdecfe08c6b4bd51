"""Which cases a fold is scored on: its test part, or its validation cases where the split has none."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunetv2_sizepenalty.atomic import atomic_folder
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.operating_point.model_folder import read_json
from nnunetv2_sizepenalty.splitting.split_files import SPLITS, TEST_FOLDS, Dataset

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
    path = dataset.folder / SPLITS
    if not path.is_file():
        raise UserError(f"{path} is missing: write it with `nnUNetv2_sizepenalty split -d {dataset.name}`")
    splits = read_json(path)
    if beyond := [fold for fold in folds if fold >= len(splits)]:
        raise UserError(f"{path} has folds 0 to {len(splits) - 1}: leave out fold {beyond[0]}")
    test_path = dataset.folder / TEST_FOLDS
    tests = [entry["test"] for entry in read_json(test_path)] if test_path.is_file() else []
    if not any(tests[fold] for fold in folds if fold < len(tests)):
        if len(folds) < 2:
            raise UserError(
                f"{path} has no test part, and one fold can't choose a threshold for its own validation cases: name "
                "two folds or more, or make a test part with `nnUNetv2_sizepenalty split --holdout`"
            )
        cases = {fold: tuple(sorted(splits[fold]["val"])) for fold in folds}
        return {fold: Part(of_fold, of_fold, cross_fitted=True) for fold, of_fold in cases.items()}
    if without := [fold for fold in folds if fold >= len(tests) or not tests[fold]]:
        raise UserError(f"{test_path}: fold {without[0]} has no test part and others do; leave it out")
    return {
        fold: Part(tuple(sorted(splits[fold]["val"])), tuple(sorted(tests[fold])), cross_fitted=False) for fold in folds
    }


def image_files(dataset: Dataset, raw: Path, cases: Sequence[str]) -> dict[str, list[Path]]:
    """Case -> its images, channel by channel.

    Raises:
        UserError: a case has none.
    """
    if "dataset" in dataset.settings:
        return {case: [raw / image for image in dataset.settings["dataset"][case]["images"]] for case in cases}
    ending = re.escape(dataset.settings["file_ending"])
    found: dict[str, list[Path]] = {}
    for path in sorted((raw / "imagesTr").iterdir()):
        if match := re.fullmatch(rf"(.+)_\d{{4}}{ending}", path.name):
            found.setdefault(match[1], []).append(path)
    if missing := [case for case in cases if case not in found]:
        raise UserError(f"{raw / 'imagesTr'}: no image of {missing[0]}, which a fold is scored on")
    return {case: found[case] for case in cases}


def write_inputs(dataset: Dataset, raw: Path, part: Part, folder: Path) -> None:
    """Links the scored cases' images and references into `folder`, under nnU-Net's names.

    A folder that is right already is left as it is.

    Raises:
        UserError: an image or a reference is missing.
    """
    ending = dataset.settings["file_ending"]
    links = {
        f"images/{case}_{channel:04d}{ending}": path
        for case, paths in image_files(dataset, raw, part.scored).items()
        for channel, path in enumerate(paths)
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
