"""Cases to what nnU-Net reads: a raw dataset to train on, or a folder of images to predict on."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from nnunetv2_sizepenalty.atomic import atomic_folder
from nnunetv2_sizepenalty.dataset_conversion.cases import Case
from nnunetv2_sizepenalty.dataset_conversion.volumes import (
    read_volume,
    require_contrast,
    require_labels,
    require_same_grid,
    resample_mask,
    resample_volume,
)
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.lesions import label_components
from nnunetv2_sizepenalty.mismatch import CHANNELS, mismatch_of, scale_to_unit
from nnunetv2_sizepenalty.nnunet_io.dataset import CHANNEL_TITLES, declared_channels
from nnunetv2_sizepenalty.nnunet_io.file_names import DATASET_JSON, IMAGES, REFERENCES, TEST_IMAGES
from nnunetv2_sizepenalty.parallel import map_cases

FILE_ENDING = ".nii.gz"


@dataclass(frozen=True)
class Channels:
    """How the images are written.

    Attributes:
        plain: ADC and DWI as they are, for nnU-Net's own normalisation, without the mismatch.
        spacing_mm: (z, y, x) to resample to, or None to keep each case's grid.
    """

    plain: bool = False
    spacing_mm: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Converted:
    """What became of a case: the reason why it was refused, or its lesions and how many the resampling lost."""

    name: str
    refused: str | None = None
    lesions: int = 0
    lost: int = 0


def make_images(adc: sitk.Image, dwi: sitk.Image, channels: Channels) -> list[sitk.Image]:
    """Makes the input channels of one case, all on the grid of `adc` (or on its resampled grid).

    Raises:
        ValueError: a volume that cannot be scaled.
    """
    pair = []
    for role, image in (("ADC", adc), ("DWI", dwi)):
        require_contrast(image, role)
        values = sitk.GetArrayFromImage(image)
        try:
            prepared = _image_like(adc, values if channels.plain else scale_to_unit(values))
        except ValueError as error:
            raise ValueError(f"{role} cannot be scaled: {error}") from None
        pair.append(resample_volume(prepared, channels.spacing_mm) if channels.spacing_mm else prepared)
    if channels.plain:
        return pair
    # After the resampling, so that the formula holds voxel by voxel in what is written.
    return [*pair, _image_like(pair[0], mismatch_of(*(sitk.GetArrayViewFromImage(image) for image in pair)))]


def convert_images(
    cases: Sequence[Case], folder: str | Path, *, channels: Channels, processes: int = 1, overwrite: bool = False
) -> Path:
    """Writes `CASE_0000.nii.gz`, `_0001` and `_0002`, as `nnUNetv2_predict` reads them, to a new folder.

    Beside them stands a dataset.json with the channels' names alone, which nnU-Net passes over and reports read.

    Raises:
        UserError: a case is refused (nothing is written), or the folder exists and `overwrite` is off or it holds
            other files than these.
    """
    folder = Path(folder)
    _require_sources_outside(cases, folder)
    if folder.exists():
        ours = re.compile(rf".+_\d{{4}}{re.escape(FILE_ENDING)}")
        if not folder.is_dir() or not all(
            path.name == DATASET_JSON or ours.fullmatch(path.name) for path in folder.iterdir()
        ):
            raise UserError(f"{folder} holds other files than converted images; choose another folder")
        if any(folder.iterdir()) and not overwrite:
            raise UserError(f"{folder} exists; choose another folder or replace it with --overwrite")
    with atomic_folder(folder, overwrite=overwrite) as temporary:
        _convert_all(cases, temporary, None, channels, processes)
        names = list(CHANNELS)[: 2 if channels.plain else None]
        titles = {str(number): CHANNEL_TITLES.get(role, role) for number, role in enumerate(names)}
        (temporary / DATASET_JSON).write_text(json.dumps({"channel_names": titles}, indent=2), encoding="utf-8")
    return folder


def convert_dataset(
    cases: Sequence[Case],
    dataset_id: int,
    name: str,
    *,
    channels: Channels,
    single_output: bool = False,
    processes: int = 1,
    overwrite: bool = False,
) -> Path:
    """Writes `nnUNet_raw/DatasetXXX_NAME`: labelled cases for training, the others to `imagesTs`.

    Args:
        single_output: declare the lesion as a region, which gives the network one sigmoid output.

    Raises:
        UserError: a case is refused or the dataset cannot be made there; nothing is written.
    """
    from nnunetv2.dataset_conversion.generate_dataset_json import generate_dataset_json

    folder = dataset_folder(dataset_id, name, overwrite=overwrite)
    _require_sources_outside(cases, folder)
    labelled = [case for case in cases if case.label is not None]
    unlabelled = [case for case in cases if case.label is None]
    names = ["ADC", "DWI"] if channels.plain else ["noNorm"] * len(CHANNELS)
    extra = {} if channels.plain else declared_channels(CHANNELS)
    with atomic_folder(folder, overwrite=overwrite) as temporary:
        for part in (IMAGES, REFERENCES, *([TEST_IMAGES] if unlabelled else [])):
            (temporary / part).mkdir()
        if labelled:
            _convert_all(labelled, temporary / IMAGES, temporary / REFERENCES, channels, processes)
        if unlabelled:
            _convert_all(unlabelled, temporary / TEST_IMAGES, None, channels, processes)
        generate_dataset_json(
            str(temporary),
            channel_names=dict(enumerate(names)),
            # nnU-Net takes a list of one label for a plain label; a region needs two entries.
            labels={"background": 0, "lesion": [1, 1] if single_output else 1},
            regions_class_order=(1,) if single_output else None,
            num_training_cases=len(labelled),
            file_ending=FILE_ENDING,
            dataset_name=folder.name,
            license="that of the source images",
            converted_by="nnunetv2_sizepenalty",
            **extra,
        )
    return folder


def dataset_folder(dataset_id: int, name: str, *, overwrite: bool) -> Path:
    """`nnUNet_raw/DatasetXXX_NAME`.

    Raises:
        UserError: nnUNet_raw is not set, the id or name is no good, or the id is in use.
    """
    from nnunetv2.paths import nnUNet_raw
    from nnunetv2.utilities.dataset_name_id_conversion import find_candidate_datasets

    if not nnUNet_raw.is_set():
        raise UserError("nnUNet_raw is not set: export nnUNet_raw=FOLDER, where nnU-Net shall keep its raw datasets")
    if not 1 <= dataset_id <= 999:
        raise UserError(f"-d {dataset_id}: a dataset id lies between 1 and 999")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name) or "__" in name:
        raise UserError(f"-n {name}: letters, digits, '-' and single '_' only (nnU-Net splits folder names at '__')")
    dataset = f"Dataset{dataset_id:03d}_{name}"
    used = [str(candidate) for candidate in find_candidate_datasets(dataset_id)]
    others = [candidate for candidate in used if candidate != dataset]
    if others:
        raise UserError(f"-d {dataset_id}: the id is in use by {', '.join(others)}; choose another")
    if used and not overwrite:
        raise UserError(f"-d {dataset_id}: {dataset} exists; choose another id or replace it with --overwrite")
    return Path(nnUNet_raw) / dataset


def _require_sources_outside(cases: Sequence[Case], folder: Path) -> None:
    """Replacing the folder would delete what is to be converted."""
    for case in cases:
        for file in (case.adc, case.dwi, case.label):
            if file is not None and folder.resolve() in file.resolve().parents:
                raise UserError(f"case {case.name}: {file} lies in {folder}, which would be replaced; write elsewhere")


def _convert_all(cases: Sequence[Case], images: Path, labels: Path | None, channels: Channels, processes: int) -> None:
    work = partial(_convert_case, images=images, labels=labels, channels=channels)
    results = map_cases(work, cases, processes=processes, description="Converting")
    refused = [result for result in results if result.refused]
    if refused:
        others = [result.name for result in refused[1:]]
        more = f" (refused too: {', '.join(others[:10])}{', ...' if len(others) > 10 else ''})" if others else ""
        raise UserError(f"case {refused[0].name}: {refused[0].refused}{more}")
    lost = sum(result.lost for result in results)
    if lost:
        emptied = [result.name for result in results if result.lesions and result.lost == result.lesions]
        print(
            f"Resampling lost {lost} of {sum(result.lesions for result in results)} lesions (connected components)"
            + (f"; none is left in {', '.join(emptied)}" if emptied else "")
        )


def _convert_case(case: Case, images: Path, labels: Path | None, channels: Channels) -> Converted:
    """Writes one case; `labels` is None where no mask is asked for."""
    try:
        adc, dwi = read_volume(case.adc, "ADC"), read_volume(case.dwi, "DWI")
        require_same_grid(dwi, "DWI", adc, "ADC")
        lesions = lost = 0
        if labels is not None:
            mask = read_volume(case.label, "mask")
            require_same_grid(mask, "mask", adc, "ADC")
            require_labels(mask, [0, 1])
            mask = _image_like(adc, sitk.GetArrayFromImage(mask).astype(np.uint8))
            if channels.spacing_mm:
                resampled = resample_mask(mask, channels.spacing_mm)
                lesions, lost = _lost_lesions(mask, resampled)
                mask = resampled
            sitk.WriteImage(mask, str(labels / f"{case.name}{FILE_ENDING}"), useCompression=True)
        for index, image in enumerate(make_images(adc, dwi, channels)):
            sitk.WriteImage(image, str(images / f"{case.name}_{index:04d}{FILE_ENDING}"), useCompression=True)
    except ValueError as error:
        return Converted(case.name, refused=str(error))
    return Converted(case.name, lesions=lesions, lost=lost)


def _lost_lesions(mask: sitk.Image, resampled: sitk.Image) -> tuple[int, int]:
    """Lesions of the mask, and how many of them the resampled mask touches nowhere."""
    components, n = label_components(sitk.GetArrayViewFromImage(mask))
    back = sitk.Resample(resampled, mask, sitk.Transform(), sitk.sitkNearestNeighbor, 0, sitk.sitkUInt8, True)
    found = np.unique(components[sitk.GetArrayViewFromImage(back) != 0])
    return n, n - np.count_nonzero(found)


def _image_like(reference: sitk.Image, values: np.ndarray) -> sitk.Image:
    """An image of `values` (z, y, x) with the reference's geometry, to the last bit."""
    image = sitk.GetImageFromArray(values)
    image.CopyInformation(reference)
    return image
