"""Splitting an nnU-Net dataset: its cases and lesion volumes in, `splits_final.json` and `test_folds.json` out."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.atomic import atomic_file
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.lesions import size_of
from nnunetv2_sizepenalty.nnunet_io.spacing import spacing_of
from nnunetv2_sizepenalty.parallel import map_cases
from nnunetv2_sizepenalty.splitting.splits import Fold

SPLITS, TEST_FOLDS = "splits_final.json", "test_folds.json"


@dataclass(frozen=True)
class Dataset:
    """What a split needs of an nnU-Net dataset.

    Attributes:
        name: `DatasetXXX_NAME`.
        folder: where the split goes, `nnUNet_preprocessed/DatasetXXX_NAME`.
        labels: case -> label file (which need not exist), sorted by case.
        settings: the raw dataset's `dataset.json`.
    """

    name: str
    folder: Path
    labels: dict[str, Path]
    settings: dict


def find_dataset(dataset: str) -> Dataset:
    """The raw dataset of that id or name, its cases found by nnU-Net's own functions.

    Raises:
        UserError: nnU-Net's folders are not set or do not hold it.
    """
    from nnunetv2.paths import nnUNet_preprocessed, nnUNet_raw
    from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name
    from nnunetv2.utilities.utils import (
        get_filenames_of_train_images_and_targets,
        get_identifiers_from_splitted_dataset_folder,
    )

    for variable in (nnUNet_raw, nnUNet_preprocessed):
        if not variable.is_set():
            raise UserError(f"{variable.env_var_name} is not set: export it as nnU-Net needs it")
    try:
        name = str(maybe_convert_to_dataset_name(dataset))
    except (RuntimeError, ValueError):
        raise UserError(f"-d {dataset}: no such dataset, or several of that id, in nnU-Net's folders") from None
    raw = Path(nnUNet_raw) / name
    if not (raw / "dataset.json").is_file():
        raise UserError(f"{raw / 'dataset.json'}: not there; the raw dataset is needed")
    settings = json.loads((raw / "dataset.json").read_text())
    if "dataset" in settings:
        files = get_filenames_of_train_images_and_targets(str(raw), settings)
        labels = {case: Path(files[case]["label"]) for case in sorted(files)}
    else:
        # What that function would call too; it then starts twelve processes to list the images, which nobody needs.
        ending = settings["file_ending"]
        cases = get_identifiers_from_splitted_dataset_folder(str(raw / "imagesTr"), ending)
        labels = {str(case): raw / "labelsTr" / f"{case}{ending}" for case in sorted(cases)}
    if not labels:
        raise UserError(f"{raw}: no training cases")
    return Dataset(name, Path(nnUNet_preprocessed) / name, labels, settings)


def lesion_volumes(dataset: Dataset, cases: Sequence[str], *, processes: int = 1) -> dict[str, float]:
    """Case -> mL of foreground of any label, read with nnU-Net's reader for this dataset.

    Raises:
        UserError: a label file is missing.
    """
    from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_dataset_json
    from nnunetv2.utilities.label_handling.label_handling import LabelManager

    missing = next((case for case in cases if not dataset.labels[case].is_file()), None)
    if missing:
        raise UserError(f"case {missing}: {dataset.labels[missing]} does not exist")
    if not cases:
        return {}
    reader = determine_reader_writer_from_dataset_json(
        dataset.settings, str(dataset.labels[cases[0]]), allow_nonmatching_filename=True, verbose=False
    )
    manager = LabelManager(dataset.settings["labels"], dataset.settings.get("regions_class_order"))
    work = partial(_volume_ml, reader=reader, ignore_label=manager.ignore_label)
    paths = [str(dataset.labels[case]) for case in cases]
    volumes = map_cases(work, paths, processes=processes, description="Lesion volumes")
    return dict(zip(cases, volumes, strict=True))


def _volume_ml(path: str, reader: type, ignore_label: int | None) -> float:
    labels, properties = reader().read_seg(path)
    return size_of(int(np.count_nonzero((labels > 0) & (labels != ignore_label))), spacing_of(properties))


def read_table(path: str | Path, cases: Sequence[str]) -> pd.DataFrame:
    """A CSV with one row for each case in a column `case`, in the file's order, indexed by case; text throughout.

    Raises:
        UserError: no such column, a case twice, an unknown case, or a case left out.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as a CSV: {error}") from None
    if "case" not in table.columns:
        raise UserError(f"{path}: needs a column case")
    names = table["case"].str.strip()
    if names.duplicated().any():
        raise UserError(f"{path}: case {names[names.duplicated()].iloc[0]} is in two rows, so it could be in two parts")
    unknown = [name for name in names if name not in set(cases)]
    if unknown:
        raise UserError(f"{path}: case {unknown[0]} is not in the data set ({len(unknown)} of {len(names)} are not)")
    left_out = [case for case in cases if case not in set(names)]
    if left_out:
        raise UserError(f"{path}: case {left_out[0]} of the data set is missing ({len(left_out)} are)")
    return table.set_index(names)


def read_column(table: pd.DataFrame, column: str) -> dict[str, str]:
    """Case -> its value, stripped.

    Raises:
        UserError: a case has none, which would make one group or site of all such cases.
    """
    values = table[column].str.strip()
    if (values == "").any():
        raise UserError(f"case {values.index[values == ''][0]}: column {column} of the CSV is empty")
    return values.to_dict()


def require_free(dataset: Dataset, *, overwrite: bool) -> None:
    """Raises UserError where a split exists that is not to be replaced."""
    path = dataset.folder / SPLITS
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists; replace it with --overwrite, unless something was trained on it")


def write_folds(dataset: Dataset, folds: Sequence[Fold]) -> Path:
    """nnU-Net's `splits_final.json`, and beside it `test_folds.json`, fold by fold; names sorted. Returns the first."""
    contents = {
        TEST_FOLDS: [{"test": sorted(fold.test)} for fold in folds],
        SPLITS: [{"train": sorted(fold.train), "val": sorted(fold.val)} for fold in folds],
    }
    for name, content in contents.items():
        with atomic_file(dataset.folder / name) as temporary:
            temporary.write_text(json.dumps(content, indent=4) + "\n")
    return dataset.folder / SPLITS
