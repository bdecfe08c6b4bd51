"""Trainers through nnU-Net's own commands: trained, killed, continued, predicted, exported and installed elsewhere."""

import filecmp

import pytest
import torch
from nnunet_commands import Workspace
from trainings import (
    continue_to_the_end,
    kill,
    kill_after_first_epoch,
    masks,
    predict,
    start_training,
    stop_at,
    stop_in_second_epoch,
    train_to_the_end,
    wait_for_text,
)

from nnunetv2_sizepenalty.losses import COMMON_COMBINATIONS
from nnunetv2_sizepenalty.nnunet_io.checkpoints import load_checkpoint

pytestmark = pytest.mark.integration

# Each letter, recipe and modifier, and each modifier under both recipes.
SAMPLE = (
    "nnUNetTrainerDTS_2epochs",
    "nnUNetTrainerDTF_nnUNet_2epochs_seed1",
    "nnUNetTrainerFSD_tau300_lambda0p1_2epochs",
    "nnUNetTrainerDCS_nnUNet_tau20_cap20_2epochs",
    "nnUNetTrainerDKS_cap5_2epochs_seed2",
    "nnUNetTrainerS_nnUNet_lambda0p1_2epochs",
)
EVERYTHING = [
    f"nnUNetTrainer{code}{suffix}_2epochs"
    for code in COMMON_COMBINATIONS
    for suffix in ("", "_nnUNet")
    if code != "DTS" or suffix
]


@pytest.mark.parametrize("trainer", [*SAMPLE, *(pytest.param(name, marks=pytest.mark.full) for name in EVERYTHING)])
def test_killed_continued_predicted_exported(tiny_dataset, trainer, tmp_path):
    tiny = tiny_dataset
    kill_after_first_epoch(tiny, trainer)
    log = continue_to_the_end(tiny, trainer)
    assert "Epoch 1" in log
    assert "Epoch 0" not in log

    final = torch.load(tiny.results(trainer) / "fold_0" / "checkpoint_final.pth", weights_only=False)
    assert final["trainer_name"] == trainer
    assert len(final["logging"]["train_losses"]) == 2
    assert all(torch.isfinite(values).all() for values in final["network_weights"].values())
    assert final["init_args"]["size_penalty"]["settings"]["epochs"] == 2

    predict(tiny.workspace, tiny, trainer, tmp_path / "here")
    assert len(masks(tmp_path / "here")) == 2
    if trainer not in SAMPLE[:2]:
        return
    archive = tmp_path / "model.zip"
    tiny.workspace.run(
        "nnUNetv2_export_model_to_zip",
        *("-d", tiny.id, "-o", archive, "-c", "3d_fullres", "-tr", trainer, "-p", tiny.plans, "-f", 0),
    )
    elsewhere = Workspace(tmp_path / "elsewhere")
    (elsewhere.folder / "nnUNet_results").mkdir(parents=True)
    elsewhere.run("nnUNetv2_install_pretrained_model_from_zip", archive)
    predict(elsewhere, tiny, trainer, tmp_path / "there")
    same, different, errors = filecmp.cmpfiles(tmp_path / "here", tmp_path / "there", masks(tmp_path / "here"), False)
    assert (len(same), different, errors) == (2, [], [])


def test_network_with_nnunets_own_recipe_is_found_and_built(tiny_dataset):
    trainer = "nnUNetTrainerAttentionASPP"
    process, log = start_training(tiny_dataset, trainer)
    # nnU-Net writes checkpoints in place: whole only once the next epoch has begun
    wait_for_text(process, "Epoch 1", log)
    kill(process)
    checkpoint = torch.load(tiny_dataset.results(trainer) / "fold_0" / "checkpoint_best.pth", weights_only=False)
    assert any("gate" in key for key in checkpoint["network_weights"])


def test_sigterm_saves_the_iteration_and_the_run_goes_on_from_it(tiny_dataset):
    trainer = "nnUNetTrainerDTS_tau200_2epochs_seed5"
    fold = tiny_dataset.results(trainer) / "fold_0"
    stop_in_second_epoch(tiny_dataset, trainer)
    saved = torch.load(fold / "checkpoint_latest.pth", weights_only=False)
    assert saved["current_epoch"] == 1
    iteration = saved["init_args"]["size_penalty"]["iteration"]
    assert iteration == len(saved["init_args"]["size_penalty"]["train_outputs"]) > 0

    text = continue_to_the_end(tiny_dataset, trainer)
    assert f"after {iteration} of its iterations" in text
    assert len(torch.load(fold / "checkpoint_final.pth", weights_only=False)["logging"]["train_losses"]) == 2


def test_a_run_stopped_twice_within_an_epoch_goes_on(tiny_dataset):
    trainer = "nnUNetTrainerDTS_tau200_2epochs_seed6"
    fold = tiny_dataset.results(trainer) / "fold_0"

    def state():
        saved = load_checkpoint(fold / "checkpoint_latest.pth")  # as bake reads it
        assert saved["current_epoch"] == 1
        return saved["init_args"]["size_penalty"]

    stop_in_second_epoch(tiny_dataset, trainer)
    first = state()
    stop_at(tiny_dataset, trainer, "Continuing this epoch after", "--c")
    second = state()
    assert first["iteration"] < second["iteration"] < first["settings"]["iterations_per_epoch"]
    assert first["settings"] == second["settings"]
    assert f"after {second['iteration']} of its iterations" in continue_to_the_end(tiny_dataset, trainer)
    final = torch.load(fold / "checkpoint_final.pth", weights_only=False)
    assert len(final["logging"]["train_losses"]) == 2
    assert final["init_args"]["size_penalty"]["settings"] == first["settings"]


def test_continuing_with_other_values_is_refused(tiny_dataset):
    trainer = "nnUNetTrainerDTS_tau100_2epochs"
    fold = tiny_dataset.results(trainer) / "fold_0"
    kill_after_first_epoch(tiny_dataset, trainer)
    path = fold / "checkpoint_best.pth"
    checkpoint = torch.load(path, weights_only=False)
    checkpoint["init_args"]["size_penalty"]["settings"]["tau_voxels"] = 600.0
    torch.save(checkpoint, path)
    process, log = start_training(tiny_dataset, trainer, "--c")
    assert process.wait() == 2
    assert "tau_voxels 600.0 (now 100.0)" in log.read_text()


def test_a_seed_gives_the_same_batches_and_weights(tiny_dataset):
    trainer = "nnUNetTrainerDTF_1epochs_seed3"
    losses = []
    for _ in range(2):
        train_to_the_end(tiny_dataset, trainer, nnUNet_n_proc_DA="2")
        final = torch.load(tiny_dataset.results(trainer) / "fold_0" / "checkpoint_final.pth", weights_only=False)
        losses.append((final["logging"]["train_losses"], final["logging"]["val_losses"]))
    assert losses[0] == losses[1]
