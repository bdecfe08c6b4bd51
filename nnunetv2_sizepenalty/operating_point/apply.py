"""Saved probabilities, cut at an operating point."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from batchgenerators.utilities.file_and_folder_operations import load_pickle
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunetv2_sizepenalty.atomic import atomic_folder
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.lesions import remove_small_components, voxel_volume_mm3
from nnunetv2_sizepenalty.nnunet_io.classes import Labels, read_labels
from nnunetv2_sizepenalty.nnunet_io.model_folder import copy_settings, read_settings
from nnunetv2_sizepenalty.nnunet_io.probabilities import mean_probabilities
from nnunetv2_sizepenalty.nnunet_io.spacing import same_grid, spacing_of
from nnunetv2_sizepenalty.nnunet_io.thresholds import above, logit
from nnunetv2_sizepenalty.operating_point.grid import Cut, ThresholdGrid
from nnunetv2_sizepenalty.operating_point.point import ENSEMBLE, FILE, OperatingPoint
from nnunetv2_sizepenalty.parallel import map_cases


def cut_probabilities(
    probabilities: np.ndarray,
    labels: Labels,
    cuts: Mapping[str, Cut],
    *,
    spacing_mm: Sequence[float],
    unit: str = "voxels",
    connectivity: int = 18,
) -> np.ndarray:
    """Returns the label map where each class is cut at its own threshold and small components are removed.

    Regions are painted in nnU-Net's order. Where several softmax classes are above their thresholds, the one that is
    furthest above in the logit wins. Components are those of the painted map, label by label, as `cc3d.dust` sees them
    in a written prediction; with overlapping regions those of each region's own mask, before it is painted.

    Args:
        probabilities: (channels, z, y, x), as nnU-Net saves them.
        cuts: class -> cut, one for each of `labels.foreground`.

    Returns:
        uint8 or uint16, (z, y, x).
    """

    def filtered(mask: np.ndarray, size: float) -> np.ndarray:
        if not size:
            return mask
        voxels = size if unit == "voxels" else size / voxel_volume_mm3(spacing_mm)
        return remove_small_components(mask, voxels, connectivity)

    kind = np.uint8 if max(label.painted for label in labels.foreground) < 255 else np.uint16
    painted = np.zeros(probabilities.shape[1:], dtype=kind)
    best = None if labels.regions or len(labels.foreground) == 1 else np.full(painted.shape, -np.inf)
    for label in labels.foreground:
        probability = probabilities[label.channel]
        mask = above(probability, cuts[label.name].threshold)
        if labels.overlapping:
            mask = filtered(mask, cuts[label.name].min_size)
        if best is not None:
            with np.errstate(divide="ignore"):
                margin = logit(probability) - logit(cuts[label.name].threshold)
            mask &= margin > best
            best[mask] = margin[mask]
        painted[mask] = label.painted
    if not labels.overlapping:
        for label in labels.foreground:
            mask = painted == label.painted
            painted[mask & ~filtered(mask, cuts[label.name].min_size)] = 0
    return painted


@dataclass(frozen=True)
class _Applied:
    """What is applied to every case."""

    labels: Labels
    plans: dict[str, Any]
    file_ending: str
    cuts: dict[str, Cut]
    grid: ThresholdGrid


def apply_folder(
    probabilities: Sequence[Path],
    output: Path,
    point: OperatingPoint,
    *,
    fold: str = ENSEMBLE,
    processes: int = 1,
) -> int:
    """Writes the label map of every case; `output` appears whole or not at all.

    Args:
        probabilities: for each model of the point what nnUNetv2_predict --save_probabilities (or nnUNetv2_ensemble
            --save_npz) wrote; their mean is cut.
        fold: whose cut: a fold's own, for predictions of that fold's model alone, or the ensemble's.

    Returns:
        How many cases were written.

    Raises:
        UserError: the folder lacks something, was predicted with other labels, or `output` exists.
    """
    if len(probabilities) != 1 + len(point.averaged_with):
        models = ", ".join(model.folder for model in (point.model, *point.averaged_with))
        raise UserError(
            f"{point.path} was chosen for {1 + len(point.averaged_with)} models' probabilities, not "
            f"{len(probabilities)}: name one folder for each of {models} with -i"
        )
    first = probabilities[0]
    dataset_json, plans = read_settings(first)
    cases = [_list_cases(folder, point) for folder in probabilities]
    for folder, there in zip(probabilities, cases, strict=True):
        if there != cases[0]:
            case = sorted({*there} ^ {*cases[0]})[0]
            raise UserError(
                f"{first} and {folder} hold other cases ({case} is in one alone): predict the same with both"
            )
    labels = read_labels(dataset_json)
    cuts = point.cuts_of(fold, labels)
    applied = _Applied(labels, plans, dataset_json["file_ending"], cuts, point.candidates)
    try:
        with atomic_folder(output) as folder:
            apply = partial(_apply, applied, probabilities, folder)
            map_cases(apply, cases[0], processes=processes, description="applying")
            copy_settings(first, folder)
            shutil.copy(point.path, folder / FILE)
    except FileExistsError:
        raise UserError(f"{output} exists and is not empty: name a new folder with -o") from None
    return len(cases[0])


def _list_cases(folder: Path, point: OperatingPoint) -> list[str]:
    """Names the cases whose probabilities are there; UserError where there are none, or they have other labels."""
    point.check_labels(read_settings(folder)[0], folder)
    cases = sorted(path.stem for path in folder.glob("*.npz"))
    if not cases:
        raise UserError(f"{folder} has no .npz: predict with nnUNetv2_predict --save_probabilities")
    return cases


def _apply(applied: _Applied, sources: Sequence[Path], folder: Path, case: str) -> None:
    """Cuts one case."""
    files = [source / f"{case}.npz" for source in sources]
    properties, *others = (_properties(file) for file in files)
    for file, other in zip(files[1:], others, strict=True):
        if not same_grid(properties, other):
            raise UserError(f"{file} lies on another grid than {files[0]}: predict the same images with both models")
    plans = PlansManager(applied.plans)
    shape = [properties["shape_before_cropping"][axis] for axis in plans.transpose_backward]
    probabilities = mean_probabilities(files, (applied.labels.n_channels, *shape))
    segmentation = cut_probabilities(
        probabilities,
        applied.labels,
        applied.cuts,
        spacing_mm=spacing_of(properties),
        unit=applied.grid.unit,
        connectivity=applied.grid.connectivity,
    )
    plans.image_reader_writer_class().write_seg(segmentation, str(folder / (case + applied.file_ending)), properties)


def _properties(file: Path) -> dict[str, Any]:
    """Reads what nnU-Net writes beside probabilities."""
    beside = file.with_suffix(".pkl")
    if not beside.is_file():
        raise UserError(f"{beside} is missing: nnU-Net writes it beside {file.name}, copy or predict both")
    return load_pickle(str(beside))
