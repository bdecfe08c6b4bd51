"""A results folder of nnU-Net: its model, folds, validation cases and their references."""

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.checkpoints import load_checkpoint
from nnunetv2_sizepenalty.nnunet_io.classes import Labels, read_labels

FINAL = "checkpoint_final.pth"


def read_json(path: Path) -> Any:
    """The content of a JSON file; UserError naming it where it can't be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} can't be read: {error}") from error


def nnunet_folder(variable: str) -> Path | None:
    """The folder that one of nnU-Net's environment variables names, or None."""
    return Path(os.environ[variable]) if os.environ.get(variable) else None


@dataclass(frozen=True)
class ModelFolder:
    """`nnUNet_results/DATASET/TRAINER__PLANS__CONFIGURATION`, read as far as each property needs it.

    Attributes:
        path: the folder.
        references: where the reference label maps are, or None for nnU-Net's own copy of them.
    """

    path: Path
    references: Path | None = None

    def __post_init__(self):
        if not (self.path / "plans.json").is_file():
            raise UserError(f"{self.path} is no results folder of nnU-Net: it has no plans.json")

    @cached_property
    def plans(self) -> dict[str, Any]:
        return read_json(self.path / "plans.json")

    @cached_property
    def dataset_json(self) -> dict[str, Any]:
        return read_json(self.path / "dataset.json")

    @cached_property
    def labels(self) -> Labels:
        return read_labels(self.dataset_json)

    @property
    def dataset(self) -> str:
        return self.plans["dataset_name"]

    @property
    def identifier(self) -> tuple[str, str, str]:
        """Trainer (a baked folder may have any name there), plans and configuration, read from the folder's name."""
        parts = tuple(self.path.resolve().name.split("__"))
        if len(parts) != 3:
            raise UserError(f"{self.path}: a results folder is named TRAINER__PLANS__CONFIGURATION")
        return parts

    def reader(self) -> Any:
        """nnU-Net's reader and writer of this dataset's files."""
        return PlansManager(self.plans).image_reader_writer_class()

    def folds(self) -> tuple[str, ...]:
        """The folds that were begun, "all" last."""
        folds = [p.name.removeprefix("fold_") for p in self.path.glob("fold_*") if p.is_dir()]
        return tuple(sorted(folds, key=lambda fold: (not fold.isdigit(), int(fold) if fold.isdigit() else 0, fold)))

    def fold_folder(self, fold: str) -> Path:
        folder = self.path / f"fold_{fold}"
        if not folder.is_dir():
            raise UserError(f"{folder} is missing: train that fold, or name those that were with -f")
        return folder

    def validation_cases(self, fold: str) -> tuple[str, ...]:
        """The cases that nnU-Net validates the fold on: its split's, else those that its validation wrote down.

        Raises:
            UserError: neither is there, or it names no case.
        """
        splits_file = (nnunet_folder("nnUNet_preprocessed") or Path()) / self.dataset / "splits_final.json"
        summary_file = self.fold_folder(fold) / "validation" / "summary.json"
        splits = read_json(splits_file) if splits_file.is_file() else []
        if fold.isdigit() and int(fold) < len(splits):
            source, cases = splits_file, splits[int(fold)]["val"]
        elif summary_file.is_file():
            # where nnU-Net draws a random split (a fold beyond the file) and for fold "all"
            names = [Path(case["prediction_file"]).name for case in read_json(summary_file)["metric_per_case"]]
            source, cases = summary_file, [name.removesuffix(self.dataset_json["file_ending"]) for name in names]
        else:
            raise UserError(f"fold {fold}: neither {splits_file} nor {summary_file} says which cases validate it")
        if not cases:
            raise UserError(f"fold {fold} has an empty validation set: {source} names no case for it")
        return tuple(sorted(cases))

    def reference_file(self, case: str) -> Path:
        """The reference label map of a case.

        Raises:
            UserError: it isn't in `references`, nor in nnU-Net's preprocessed or raw folder where that is None.
        """
        preprocessed, raw = nnunet_folder("nnUNet_preprocessed"), nnunet_folder("nnUNet_raw")
        if self.references is not None:
            folders = [self.references]
        else:
            folders = [preprocessed / self.dataset / "gt_segmentations"] if preprocessed else []
            folders += [raw / self.dataset / "labelsTr"] if raw else []
        files = [folder / (case + self.dataset_json["file_ending"]) for folder in folders]
        if found := next((file for file in files if file.is_file()), None):
            return found
        where = ", ".join(map(str, files)) or "nnUNet_preprocessed and nnUNet_raw are not set"
        raise UserError(f"the reference of {case} is missing ({where}): name its folder with -ref")

    def check_same_labels(self, folds: tuple[str, ...], checkpoint: str = FINAL) -> None:
        """Compares the labels that each fold was trained with, where its checkpoint is there.

        Raises:
            UserError: they differ from those of dataset.json.
        """
        for fold in folds:
            file = self.fold_folder(fold) / checkpoint
            if not file.is_file():
                continue
            trained = load_checkpoint(file, mmap=True).get("init_args", {}).get("dataset_json", self.dataset_json)
            for key in ("labels", "regions_class_order"):
                if trained.get(key) != self.dataset_json.get(key):
                    raise UserError(
                        f"fold {fold} was trained with {key} {trained.get(key)}, {self.path / 'dataset.json'} has "
                        f"{self.dataset_json.get(key)}: train the folds with the same labels"
                    )
