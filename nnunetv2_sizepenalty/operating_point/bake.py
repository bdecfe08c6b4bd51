"""A threshold written into the bias of a model's last layer, so that nnU-Net's own cut at 0.5 is a cut there."""

import math
import pickle
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import cc3d
import torch
from torch import Tensor

from nnunetv2_sizepenalty.atomic import atomic_folder
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.checkpoints import load_checkpoint
from nnunetv2_sizepenalty.nnunet_io.classes import Labels
from nnunetv2_sizepenalty.nnunet_io.fold_folder import fold_name
from nnunetv2_sizepenalty.nnunet_io.model_folder import ModelFolder
from nnunetv2_sizepenalty.nnunet_io.thresholds import logit
from nnunetv2_sizepenalty.operating_point.grid import Cut, ThresholdGrid
from nnunetv2_sizepenalty.operating_point.point import ENSEMBLE, FILE, OperatingPoint
from nnunetv2_sizepenalty.operating_point.stock_trainer import STOCK_TRAINER, check_stock_network

_HEAD = re.compile(r"decoder\.seg_layers\.(\d+)\.bias")
BAKED = "baked_thresholds"


def shift_head(weights: Mapping[str, Tensor], labels: Labels, cuts: Mapping[str, Cut]) -> dict[str, Tensor]:
    """Returns the weights with -logit(threshold) added to the bias of the head that is used at inference.

    That head is the last of `decoder.seg_layers`, where nnU-Net's decoders and ours keep theirs; those before it serve
    deep supervision alone. Averaging over mirrors, tiles and folds and linear resampling keep a constant shift.

    Raises:
        UserError: softmax over more than two classes, or a network without such a head.
    """
    if not labels.regions and len(labels.foreground) > 1:
        raise UserError(
            f"a softmax over {labels.n_channels} classes can't be baked: a threshold compares a class with all "
            "others together, a shift of its bias with each on its own; use `nnUNetv2_sizepenalty apply`"
        )
    found = {int(match[1]): name for name in weights if (match := _HEAD.fullmatch(name))}
    name = found.get(max(found, default=0))
    if name is None or weights[name].shape != (labels.n_channels,):
        raise UserError(
            f"no bias of {labels.n_channels} channels in decoder.seg_layers, where nnU-Net's networks have their head: "
            "use `nnUNetv2_sizepenalty apply`"
        )
    bias = weights[name].double()
    for label in labels.foreground:
        bias[label.channel] -= float(logit(cuts[label.name].threshold))
    return {**weights, name: bias.to(weights[name].dtype)}


def postprocessing(grid: ThresholdGrid, labels: Labels, cuts: Mapping[str, Cut]) -> tuple[list, list[dict]] | None:
    """Makes the content of nnU-Net's postprocessing.pkl: functions and arguments; None where nothing is removed.

    Raises:
        UserError: `cc3d.dust`, which needs no plugin where it is loaded, can't do what `apply` does.
    """
    sizes = {cut.min_size for cut in cuts.values()}
    if sizes == {0.0}:
        return None
    remedy = "choose with --min-voxels 0 or use `nnUNetv2_sizepenalty apply`"
    if grid.unit != "voxels":
        raise UserError(f"nnU-Net's postprocessing counts voxels, whatever their size, not mm^3: {remedy}")
    if labels.overlapping:
        raise UserError(
            "regions that overlap have no stock filter: in a written label map a component of one region is cut "
            f"by the others that are painted over it; {remedy}"
        )
    if len(sizes) > 1:
        raise UserError(
            f"nnU-Net's postprocessing has one smallest size for all classes, not {sorted(sizes)}: {remedy}"
        )
    return [cc3d.dust], [{"threshold": math.ceil(max(sizes)), "connectivity": grid.connectivity}]


def bake_folder(
    model: ModelFolder,
    point: OperatingPoint,
    output: Path,
    *,
    folds: Sequence[str],
    checkpoints: Sequence[str],
    per_fold: bool = False,
    as_nnunet_trainer: bool = False,
) -> None:
    """Copies a results folder with its thresholds baked in; `output` appears whole or not at all.

    Args:
        folds: those to copy.
        checkpoints: names of the checkpoints to copy.
        per_fold: each fold gets its own cut, for predictions with that fold alone; otherwise all get the ensemble's.
        as_nnunet_trainer: the copy names nnU-Net's own trainer, so that it needs no plugin.

    Raises:
        UserError: it can't be done exactly, or `output` exists.
    """
    point.check_labels(model.dataset_json, model.path)
    if point.averaged_with:
        raise UserError(
            f"{point.path} was chosen on the mean of {1 + len(point.averaged_with)} models' probabilities, which no "
            "bias of one of them can cut: use `nnUNetv2_sizepenalty apply`"
        )
    cuts = {fold: point.cuts_of(fold if per_fold else ENSEMBLE, model.labels) for fold in folds}
    filters = {fold: postprocessing(point.candidates, model.labels, cuts[fold]) for fold in folds}
    try:
        with atomic_folder(output) as folder:
            model.copy_files(folder, folds)
            for fold in folds:
                _bake_fold(model, folder, fold, cuts[fold], checkpoints, as_nnunet_trainer)
            # nnU-Net exports the postprocessing of the folds that it exports
            for names in [[fold] for fold in folds] if per_fold else [list(folds)]:
                _write_postprocessing(folder / f"crossval_results_folds_{'_'.join(names)}", filters[names[0]])
            shutil.copy(point.path, folder / FILE)
    except FileExistsError:
        raise UserError(f"{output} exists: name a new folder with -o") from None


def _bake_fold(
    model: ModelFolder,
    folder: Path,
    fold: str,
    cuts: Mapping[str, Cut],
    checkpoints: Sequence[str],
    as_nnunet_trainer: bool,
) -> None:
    source, target = model.fold_folder(fold), folder / fold_name(fold)
    for name in checkpoints:
        checkpoint = load_checkpoint(source / name)
        if BAKED in checkpoint:
            raise UserError(
                f"{source / name} is baked already, at {checkpoint[BAKED]}: bake the model that was trained"
            )
        if as_nnunet_trainer:
            check_stock_network(model, checkpoint)
            checkpoint["trainer_name"] = STOCK_TRAINER
        checkpoint["network_weights"] = shift_head(checkpoint["network_weights"], model.labels, cuts)
        checkpoint[BAKED] = {class_name: cut.threshold for class_name, cut in cuts.items()}
        target.mkdir(exist_ok=True)
        torch.save(checkpoint, target / name)


def _write_postprocessing(folder: Path, filters: tuple[list, list[dict]] | None) -> None:
    if filters is None:
        return
    folder.mkdir()
    (folder / "postprocessing.pkl").write_bytes(pickle.dumps(filters))
