"""Where a run stands, from files alone; no half-written file is taken for a finished one."""

import os

import pytest
from ablation_files import cut_short, finish_stages, finish_training, write_checkpoint

from nnunetv2_sizepenalty.ablation.lock import held
from nnunetv2_sizepenalty.ablation.state import (
    DONE,
    FAILED,
    QUEUED,
    RUNNING,
    WAITING,
    clear_failure,
    next_step,
    read_state,
    record_failure,
)
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.file_names import CHECKPOINTS
from nnunetv2_sizepenalty.nnunet_io.fold_folder import finished, progress, resumable_checkpoint, set_aside_unreadable


@pytest.fixture
def ablation(make_ablation):
    return make_ablation(trainers="nnUNetTrainerDCS_nnUNet")


def step_of(ablation, run):
    step = next_step(ablation, run)
    return None if step is None else (step.name, step.option)


def later(path, earlier):
    """Gives `path` a younger time stamp than `earlier` has."""
    stamp = earlier.stat().st_mtime_ns + 10**9
    os.utime(path, ns=(stamp, stamp))


def test_nothing_is_there(ablation):
    assert step_of(ablation, ablation.runs[0]) == ("training", None)
    assert read_state(ablation, ablation.runs[0]).kind == QUEUED


@pytest.mark.parametrize("name", ["checkpoint_latest.pth", "checkpoint_best.pth"])
def test_a_checkpoint_is_continued(ablation, name):
    write_checkpoint(ablation.runs[0].fold_folder / name)
    assert step_of(ablation, ablation.runs[0]) == ("training", "--c")


def test_a_final_checkpoint_that_was_cut_short_is_not_a_finished_training(ablation):
    folder = ablation.runs[0].fold_folder
    write_checkpoint(folder / "checkpoint_final.pth")
    cut_short(folder / "checkpoint_final.pth")
    assert step_of(ablation, ablation.runs[0]) == ("training", None)
    write_checkpoint(folder / "checkpoint_best.pth")
    assert step_of(ablation, ablation.runs[0]) == ("training", "--c")


def test_unreadable_checkpoints_are_set_aside_and_the_next_good_one_is_taken(ablation):
    folder = ablation.runs[0].fold_folder
    for name in CHECKPOINTS:
        write_checkpoint(folder / name)
    for name in CHECKPOINTS[:2]:
        cut_short(folder / name)
    lines = set_aside_unreadable(folder)
    assert [line.split()[0] for line in lines] == list(CHECKPOINTS[:2])
    assert resumable_checkpoint(folder) == "checkpoint_best.pth"
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoint_best.pth", "checkpoint_final.unreadable", "checkpoint_latest.unreadable",
    ]  # fmt: skip


def test_a_whole_checkpoint_with_somebodys_objects_is_nnunets_to_read(tmp_path):
    import torch

    torch.save({"network_weights": {}, "path": tmp_path}, tmp_path / "checkpoint_final.pth")
    assert finished(tmp_path)


def test_only_the_validation_is_missing(ablation):
    run = ablation.runs[0]
    write_checkpoint(run.fold_folder / "checkpoint_final.pth")
    assert step_of(ablation, run) == ("validation", "--val")


@pytest.mark.parametrize("lacking", ["npz", "summary", "half a summary", "older than the checkpoint"])
def test_a_validation_is_done_when_all_of_it_is_there_and_it_is_of_this_checkpoint(ablation, lacking):
    run = ablation.runs[0]
    finish_training(run)
    assert run.trained
    summary = run.fold_folder / "validation" / "summary.json"
    if lacking == "npz":
        (run.fold_folder / "validation" / "v0.npz").unlink()
        later(summary, summary)
    elif lacking == "summary":
        summary.unlink()
    elif lacking == "half a summary":
        summary.write_text('{"mean"')
        later(summary, summary)
    else:
        later(run.fold_folder / "checkpoint_final.pth", summary)
    assert not run.trained


def test_stages_follow_the_training_and_wait_for_the_other_fold(ablation):
    run, other = ablation.runs
    finish_training(run)
    assert step_of(ablation, run) == ("predictions", None)
    finish_stages(ablation, run)
    assert read_state(ablation, run).kind == WAITING
    finish_training(other)
    assert step_of(ablation, run) == ("operating_point", None)
    finish_stages(ablation, run, chosen_on=[other])
    assert read_state(ablation, run).kind == DONE


def test_a_test_part_waits_for_nobody(make_ablation):
    ablation = make_ablation(cross_fitted=False)
    run = ablation.runs[0]
    finish_training(run)
    finish_stages(ablation, run, chosen_on=[run])
    assert read_state(ablation, run).kind == DONE


def test_what_was_made_from_older_inputs_is_made_again(ablation):
    run, other = ablation.runs
    for each in (run, other):
        finish_training(each)
    finish_stages(ablation, run, chosen_on=[other])
    later(other.fold_folder / "checkpoint_final.pth", other.fold_folder / "checkpoint_final.pth")
    later(other.fold_folder / "validation" / "summary.json", other.fold_folder / "checkpoint_final.pth")
    assert step_of(ablation, run) == ("operating_point", None)
    later(run.inputs / "cases.json", run.inputs / "cases.json")
    assert step_of(ablation, run) == ("predictions", None)


def test_another_setting_makes_its_stages_again_and_no_training(make_ablation):
    ablation = make_ablation()
    run, other = ablation.runs[:2]
    for each in (run, other):
        finish_training(each)
    finish_stages(ablation, run, chosen_on=[other])
    assert step_of(make_ablation(objective="pq"), run) == ("operating_point", None)
    assert step_of(make_ablation(bins_ml=[2]), run) == ("froc", None)
    assert step_of(make_ablation(device="cpu"), run) is None


def test_a_failed_fold_is_not_waited_for(make_ablation):
    ablation = make_ablation(trainers="nnUNetTrainerDCS_nnUNet", folds=[0, 1, 2])
    run, trained_one, failed = ablation.runs
    for each in (run, trained_one):
        finish_training(each)
    finish_stages(ablation, run)
    assert read_state(ablation, run).kind == WAITING
    record_failure(failed, "training", "exit code 1")
    assert "-f 1 --thresholds" in " ".join(next_step(ablation, run).stage.work.what)
    finish_stages(ablation, run, chosen_on=[trained_one])
    assert read_state(ablation, run).kind == DONE
    # once it is there after all, it has its say
    clear_failure(failed)
    finish_training(failed)
    assert "-f 1 2 --thresholds" in " ".join(next_step(ablation, run).stage.work.what)


def test_without_any_other_fold_a_run_fails(ablation):
    run, other = ablation.runs
    finish_training(run)
    finish_stages(ablation, run)
    record_failure(other, "training", "exit code 1")
    with pytest.raises(UserError, match="no other fold was trained"):
        next_step(ablation, run)
    assert read_state(ablation, run).kind == FAILED


def test_a_run_that_somebody_works_on_is_running(ablation):
    run = ablation.runs[0]
    record_failure(run, "training", "exit code 1")
    assert read_state(ablation, run).detail == "training: exit code 1"
    with held(run.lock):
        state = read_state(ablation, run)
        assert (state.kind, state.detail.startswith(f"pid {os.getpid()} on ")) == (RUNNING, True)
    assert read_state(ablation, run).kind == FAILED


def test_a_running_run_says_what_it_is_at(ablation):
    run = ablation.runs[0]
    with held(run.lock):
        write_checkpoint(run.fold_folder / "checkpoint_latest.pth")
        (run.fold_folder / "training_log_1.txt").write_text(LOG)
        assert read_state(ablation, run).detail == "epoch 8, Dice 0.512 nan 0.000"
        finish_training(run)
        assert read_state(ablation, run).detail == "predictions"


LOG = """
2026-01-01 10:00:00.0: Epoch 7
2026-01-01 10:00:09.0: Pseudo dice [np.float32(0.5123), np.float64(nan), 0.0]
2026-01-01 10:00:10.0:
2026-01-01 10:00:10.1: Epoch 8
"""


def test_progress_is_the_last_epoch_and_dice(tmp_path):
    assert progress(tmp_path) == ""
    (tmp_path / "training_log_0.txt").write_text("Using device: cpu\n")
    assert progress(tmp_path) == ""
    (tmp_path / "training_log_1.txt").write_text(LOG)
    assert progress(tmp_path) == "epoch 8, Dice 0.512 nan 0.000"
