"""The files of a training and of an ablation's stages, made by hand."""

from pathlib import Path

import torch

from nnunetv2_sizepenalty.ablation.commands import scoring_stages, threshold_stages
from nnunetv2_sizepenalty.ablation.runs import Run
from nnunetv2_sizepenalty.ablation.state import Ablation, key_of, mark_done


def write_checkpoint(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"network_weights": {"weight": torch.zeros(1000)}, "current_epoch": 1}, path)


def cut_short(path: Path) -> None:
    """What a process leaves that is killed while it writes."""
    path.write_bytes(path.read_bytes()[:-100])


def finish_training(run: Run) -> None:
    """The files that nnUNetv2_train --npz leaves."""
    write_checkpoint(run.fold_folder / "checkpoint_final.pth")
    validation = run.fold_folder / "validation"
    validation.mkdir(exist_ok=True)
    for case in run.part.validation:
        (validation / f"{case}.npz").touch()
    (validation / "summary.json").write_text("{}")


def finish_stages(ablation: Ablation, run: Run, chosen_on=()) -> None:
    """The marks of all stages; of those before the threshold where nothing is said to have chosen it."""
    stages = scoring_stages(run, ablation.matrix, ablation.raw / run.dataset)
    if chosen_on:
        stages += threshold_stages(run, ablation.matrix, ablation.raw / run.dataset, chosen_on)
    for stage in stages:
        mark_done(run, stage, key_of(stage))
