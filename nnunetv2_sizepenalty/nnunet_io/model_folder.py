"""A results folder of nnU-Net: its model, folds, validation cases and their references."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.checkpoints import load_checkpoint
from nnunetv2_sizepenalty.nnunet_io.classes import Labels, read_labels
from nnunetv2_sizepenalty.nnunet_io.file_names import (
    DATASET_JSON,
    FINAL,
    FOLD_FILES,
    MODEL_FILES,
    PLANS_JSON,
    REFERENCE_COPIES,
    REFERENCES,
    SPLITS,
)
from nnunetv2_sizepenalty.nnunet_io.fold_folder import fold_name, folds_in, validated_cases, validation_summary
from nnunetv2_sizepenalty.nnunet_io.folders import PREPROCESSED, RAW, nnunet_folder
from nnunetv2_sizepenalty.nnunet_io.folds import read_folds
from nnunetv2_sizepenalty.nnunet_io.json_file import read_json

if TYPE_CHECKING:
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager


def model_name(trainer: str, plans: str, configuration: str) -> str:
    """Names a results folder as nnU-Net does."""
    return f"{trainer}__{plans}__{configuration}"


def read_settings(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """dataset.json and plans.json, which nnU-Net puts beside a model and beside what it predicts.

    Raises:
        UserError: one of them can't be read.
    """
    return read_json(folder / DATASET_JSON), read_json(folder / PLANS_JSON)


def copy_settings(source: Path, target: Path) -> None:
    """Copies what `read_settings` reads."""
    for name in (DATASET_JSON, PLANS_JSON):
        shutil.copy(source / name, target / name)


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
        if not (self.path / PLANS_JSON).is_file():
            raise UserError(f"{self.path} is no results folder of nnU-Net: it has no {PLANS_JSON}")

    @cached_property
    def plans(self) -> dict[str, Any]:
        return read_json(self.path / PLANS_JSON)

    @cached_property
    def dataset_json(self) -> dict[str, Any]:
        return read_json(self.path / DATASET_JSON)

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
            raise UserError(f"{self.path}: a results folder is named {model_name('TRAINER', 'PLANS', 'CONFIGURATION')}")
        return parts

    @property
    def preprocessed(self) -> Path:
        """The dataset's folder of preprocessed data, which need not exist."""
        return (nnunet_folder(PREPROCESSED) or Path()) / self.dataset

    @property
    def manager(self) -> "PlansManager":
        """nnU-Net's view of the plans."""
        from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

        return PlansManager(self.plans)

    def reader(self) -> Any:
        """nnU-Net's reader and writer of this dataset's files."""
        return self.manager.image_reader_writer_class()

    def previous_stage(self, previous: str) -> Path:
        """Finds the predictions of a cascade's first model, of the configuration `previous` and beside this one."""
        trainer, plans, configuration = self.identifier
        return self.path.parent / model_name(trainer, plans, previous) / "predicted_next_stage" / configuration

    def folds(self) -> tuple[str, ...]:
        """Lists the folds that were begun, "all" last."""
        return folds_in(self.path)

    def fold_folder(self, fold: str) -> Path:
        folder = self.path / fold_name(fold)
        if not folder.is_dir():
            raise UserError(f"{folder} is missing: train that fold, or name those that were with -f")
        return folder

    def validation_cases(self, fold: str) -> tuple[str, ...]:
        """Lists the cases that nnU-Net validates the fold on: its split's, else those that its validation wrote down.

        Raises:
            UserError: neither is there, or it names no case.
        """
        folds, source = read_folds(self.preprocessed) or (), self.preprocessed / SPLITS
        summary = validation_summary(self.fold_folder(fold))
        if fold.isdigit() and int(fold) < len(folds):
            cases = folds[int(fold)].val
        elif summary.is_file():
            source, cases = summary, validated_cases(self.fold_folder(fold), self.dataset_json["file_ending"])
        else:
            raise UserError(f"fold {fold}: neither {source} nor {summary} says which cases validate it")
        if not cases:
            raise UserError(f"fold {fold} has an empty validation set: {source} names no case for it")
        return tuple(sorted(cases))

    def reference_file(self, case: str) -> Path:
        """Finds the reference label map of a case.

        Raises:
            UserError: it isn't in `references`, nor in nnU-Net's preprocessed or raw folder where that is None.
        """
        raw = nnunet_folder(RAW)
        if self.references is not None:
            folders = [self.references]
        else:
            folders = [self.preprocessed / REFERENCE_COPIES] if nnunet_folder(PREPROCESSED) else []
            folders += [raw / self.dataset / REFERENCES] if raw else []
        files = [folder / (case + self.dataset_json["file_ending"]) for folder in folders]
        if found := next((file for file in files if file.is_file()), None):
            return found
        where = ", ".join(map(str, files)) or f"{PREPROCESSED} and {RAW} are not set"
        raise UserError(f"the reference of {case} is missing ({where}): name its folder with -ref")

    def check_same_labels(self, folds: Sequence[str], checkpoint: str = FINAL) -> None:
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
                        f"fold {fold} was trained with {key} {trained.get(key)}, {self.path / DATASET_JSON} has "
                        f"{self.dataset_json.get(key)}: train the folds with the same labels"
                    )

    def copy_files(self, target: Path, folds: Sequence[str]) -> None:
        """Copies what nnUNetv2_export_model_to_zip takes along beside checkpoints, as far as it is there."""
        for name in (*MODEL_FILES, *(f"{fold_name(fold)}/{file}" for fold in folds for file in FOLD_FILES)):
            if (self.path / name).is_file():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(self.path / name, target / name)


def missing_for_export(folder: Path) -> list[str]:
    """Lists the files without which nnUNetv2_export_model_to_zip fails, relative to a results folder."""
    needed = [*MODEL_FILES, *(f"{fold_name(fold)}/{name}" for fold in folds_in(folder) for name in FOLD_FILES[-2:])]
    return [name for name in needed if not (folder / name).is_file()]
