"""nnU-Net's datasets: what dataset.json says, and which files belong to a case."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.file_names import DATASET_JSON, IMAGES, REFERENCES

CHANNEL_TITLES = {"adc": "ADC", "dwi": "DWI"}


@dataclass(frozen=True)
class Dataset:
    """A raw dataset and the folder of what is made of it.

    Attributes:
        name: `DatasetXXX_NAME`.
        raw: `nnUNet_raw/DatasetXXX_NAME`.
        folder: `nnUNet_preprocessed/DatasetXXX_NAME`, which need not exist: plans, splits, preprocessed cases.
        labels: case -> label file (which need not exist), sorted by case.
        settings: content of dataset.json.
    """

    name: str
    raw: Path
    folder: Path
    labels: dict[str, Path]
    settings: dict[str, Any]

    @property
    def number(self) -> int:
        """The id in its name."""
        return int(self.name[7:10])

    @property
    def images(self) -> Path:
        """The folder of the training cases' images."""
        return self.raw / IMAGES


def read_dataset_json(path: str | Path) -> dict[str, Any]:
    """Reads nnU-Net's dataset.json.

    Raises:
        UserError: the file is missing or something else.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        content["labels"]["background"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: no nnU-Net dataset.json ({error!r}); name one with labels and file_ending") from None
    return content


def declared_channels(channels: dict[str, int]) -> dict[str, Any]:
    """Makes the entry of dataset.json that keeps them: role ("adc", "dwi", "mismatch") -> channel."""
    return {"size_penalty": {"channels": channels}}


def mismatch_channels(dataset_json: dict[str, Any]) -> dict[str, int] | None:
    """Reads what `declared_channels` was given; None in other people's datasets."""
    return dataset_json.get("size_penalty", {}).get("channels")


def channel_names(dataset_json: dict[str, Any]) -> dict[int, str]:
    """Reads what each channel is called: our roles where they are declared, else the names that tell channels apart.

    nnU-Net's `channel_names` choose the normalisation, so that several may share one ("noNorm").
    """
    names = {int(number): str(name) for number, name in dataset_json.get("channel_names", {}).items()}
    told = {number: name for number, name in names.items() if list(names.values()).count(name) == 1}
    roles = mismatch_channels(dataset_json) or {}
    return told | {number: CHANNEL_TITLES.get(role, role) for role, number in roles.items()}


def find_dataset(dataset: str) -> Dataset:
    """Finds the raw dataset of an id or name, its cases by nnU-Net's own functions.

    Raises:
        UserError: nnU-Net's folders are not set or do not hold it.
    """
    from nnunetv2.paths import nnUNet_preprocessed, nnUNet_raw
    from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name
    from nnunetv2.utilities.utils import get_identifiers_from_splitted_dataset_folder

    for variable in (nnUNet_raw, nnUNet_preprocessed):
        if not variable.is_set():
            raise UserError(f"{variable.env_var_name} is not set: export it as nnU-Net needs it")
    try:
        name = str(maybe_convert_to_dataset_name(dataset))
    except (RuntimeError, ValueError):
        raise UserError(f"-d {dataset}: no such dataset, or several of that id, in nnU-Net's folders") from None
    raw = Path(nnUNet_raw) / name
    if not (raw / DATASET_JSON).is_file():
        raise UserError(f"{raw / DATASET_JSON}: not there; the raw dataset is needed")
    settings = json.loads((raw / DATASET_JSON).read_text())
    if "dataset" in settings:
        labels = {case: _listed_file(raw, entry["label"]) for case, entry in sorted(settings["dataset"].items())}
    else:
        # Not `get_filenames_of_train_images_and_targets`: it starts twelve processes to list images nobody needs.
        ending = settings["file_ending"]
        cases = get_identifiers_from_splitted_dataset_folder(str(raw / IMAGES), ending)
        labels = {str(case): raw / REFERENCES / f"{case}{ending}" for case in sorted(cases)}
    if not labels:
        raise UserError(f"{raw}: no training cases")
    return Dataset(name, raw, Path(nnUNet_preprocessed) / name, labels, settings)


def image_files(dataset: Dataset) -> dict[str, tuple[Path, ...]]:
    """Finds the images of each case, channel by channel, sorted by case; none where there are none."""
    if "dataset" in dataset.settings:
        listed = dataset.settings["dataset"]
        return {case: tuple(_listed_file(dataset.raw, name) for name in listed[case]["images"]) for case in listed}
    ending = dataset.settings["file_ending"]
    found = dict.fromkeys(dataset.labels, ())
    for path in sorted(dataset.images.glob(f"*_[0-9][0-9][0-9][0-9]{ending}")):
        case = path.name[: -len(ending) - 5]
        found[case] = (*found.get(case, ()), path)
    return found


def _listed_file(raw: Path, name: str) -> Path:
    """A file that dataset.json lists, as nnU-Net reads its name: with variables, relative to the raw dataset."""
    return Path(os.path.abspath(raw / os.path.expandvars(name)))  # noqa: PTH100 resolve() would follow links
