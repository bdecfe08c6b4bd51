"""A folder of saved probabilities, cut at an operating point."""

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from batchgenerators.utilities.file_and_folder_operations import load_pickle
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunetv2_sizepenalty.atomic import atomic_folder
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.classes import Labels, read_labels
from nnunetv2_sizepenalty.nnunet_io.probabilities import read_probabilities
from nnunetv2_sizepenalty.operating_point.cut import cut_probabilities
from nnunetv2_sizepenalty.operating_point.model_folder import read_json, spacing_of
from nnunetv2_sizepenalty.operating_point.point import ENSEMBLE, Cut, OperatingPoint
from nnunetv2_sizepenalty.parallel import map_cases


@dataclass(frozen=True)
class _Task:
    labels: Labels
    plans: dict[str, Any]
    file_ending: str
    cuts: dict[str, Cut]
    unit: str
    connectivity: int


def apply_folder(
    probabilities: Path, output: Path, point: OperatingPoint, *, fold: str = ENSEMBLE, processes: int = 1
) -> int:
    """Writes the label map of every case; `output` appears whole or not at all.

    Args:
        probabilities: what nnUNetv2_predict --save_probabilities (or nnUNetv2_ensemble --save_npz) wrote.
        fold: whose cut: a fold's own, for predictions of that fold's model alone, or the ensemble's.

    Returns:
        How many cases were written.

    Raises:
        UserError: the folder lacks something, was predicted with other labels, or `output` exists.
    """
    dataset_json, plans = read_json(probabilities / "dataset.json"), read_json(probabilities / "plans.json")
    point.check_labels(dataset_json, probabilities)
    files = sorted(probabilities.glob("*.npz"))
    if not files:
        raise UserError(f"{probabilities} has no .npz: predict with nnUNetv2_predict --save_probabilities")
    labels = read_labels(dataset_json)
    cuts = point.cuts_of(fold, labels)
    task = _Task(labels, plans, dataset_json["file_ending"], cuts, point.unit, point.connectivity)
    try:
        with atomic_folder(output) as folder:
            map_cases(partial(_apply, task, folder), files, processes=processes, description="applying")
            for name in ("dataset.json", "plans.json"):
                shutil.copy(probabilities / name, folder / name)
            shutil.copy(point.source, folder / "operating_point.json")
    except FileExistsError:
        raise UserError(f"{output} exists and is not empty: name a new folder with -o") from None
    return len(files)


def _apply(task: _Task, folder: Path, file: Path) -> None:
    """Cuts one case."""
    properties_file = file.with_suffix(".pkl")
    if not properties_file.is_file():
        raise UserError(f"{properties_file} is missing: nnU-Net writes it beside {file.name}, copy or predict both")
    properties = load_pickle(str(properties_file))
    plans = PlansManager(task.plans)
    shape = [properties["shape_before_cropping"][axis] for axis in plans.transpose_backward]
    probabilities = read_probabilities(file, (task.labels.n_channels, *shape))
    segmentation = cut_probabilities(
        probabilities,
        task.labels,
        task.cuts,
        spacing_mm=spacing_of(properties),
        unit=task.unit,
        connectivity=task.connectivity,
    )
    plans.image_reader_writer_class().write_seg(segmentation, str(folder / (file.stem + task.file_ending)), properties)
