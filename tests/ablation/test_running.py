"""Real matrices of tiny trainings: killed, interrupted, failing, called twice; what was done stays done."""

import os
import random
import re
import shutil
import signal
import subprocess
import time
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from ablation_trainers import MODULE
from nnunet_commands import FOLDERS, Workspace, script

from nnunetv2_sizepenalty.ablation.lock import holder
from nnunetv2_sizepenalty.nnunet_io.file_names import FINAL
from nnunetv2_sizepenalty.nnunet_io.fold_folder import finished as is_finished
from nnunetv2_sizepenalty.nnunet_io.fold_folder import progress, resumable_checkpoint

pytestmark = pytest.mark.integration
OURS = "nnUNetTrainerDTS_1epochs"


@pytest.fixture(scope="module")
def place(tiny_dataset, tmp_path_factory) -> Workspace:
    """The tiny dataset with a split and results of its own, and somebody else's trainers."""
    workspace = Workspace(tmp_path_factory.mktemp("ablation"))
    for name in FOLDERS[:2]:
        split = shutil.ignore_patterns("splits_final.json")
        shutil.copytree(tiny_dataset.workspace.folder / name, workspace.folder / name, ignore=split)
    (workspace.folder / FOLDERS[2]).mkdir()
    workspace.run("nnUNetv2_sizepenalty", "split", "-d", 997, "--folds", 2)
    (workspace.folder / "trainers").mkdir()
    (workspace.folder / "trainers" / "somebodys_trainers.py").write_text(MODULE)
    return workspace


def start(workspace: Workspace, output: Path, trainers, *options) -> subprocess.Popen:
    """`ablate` on both folds, in a process group of its own."""
    matrix = output.with_suffix(".yaml")
    matrix.write_text(
        f"datasets: 997\nplans: TinyPlans\ntrainers: [{', '.join(trainers)}]\nfolds: [0, 1]\ndevice: cpu\n"
    )
    with output.with_suffix(".log").open("a") as log:
        return subprocess.Popen(
            [script("nnUNetv2_sizepenalty"), "ablate", matrix, "-o", output, *options],
            env={**workspace.environment, "nnUNet_extTrainer": str(workspace.folder / "trainers")},
            stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
            # tests in the background ignore Ctrl-C, and so would what they start
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip


def to_the_end(workspace: Workspace, output: Path, trainers, *options, exit_code: int = 0) -> None:
    code = start(workspace, output, trainers, *options).wait()
    ends = [text[-1500:] for text in logs(output).values()]
    assert code == exit_code, output.with_suffix(".log").read_text()[-3000:] + "\n".join(ends)


def fold_folder(workspace: Workspace, trainer: str, fold: int) -> Path:
    results = workspace.folder / "nnUNet_results" / "Dataset997_Tiny"
    return results / f"{trainer}__TinyPlans__3d_fullres" / f"fold_{fold}"


def finals(workspace: Workspace) -> dict[Path, int]:
    """The finished trainings' checkpoints and when they were written."""
    folders = (workspace.folder / "nnUNet_results").glob("*/*/fold_*")
    return {folder: (folder / FINAL).stat().st_mtime_ns for folder in folders if is_finished(folder)}


def log_of(output: Path, trainer: str, fold: int) -> str:
    (path,) = output.glob(f"runs/*__{trainer}__*__fold_{fold}/log.txt")
    return path.read_text()


def logs(output: Path) -> dict[Path, str]:
    return {path: path.read_text() for path in output.glob("runs/*/log.txt")}


def kill_and_finish(workspace: Workspace, output: Path, trainers, moments) -> None:
    """Kills the whole process group after each of `moments` seconds, then lets two calls at once finish."""
    done: dict[Path, int] = {}
    for moment in moments:
        process = start(workspace, output, trainers)
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        now = finals(workspace)
        assert done.items() <= now.items(), "a finished training was touched"
        done = now
    before = logs(output)
    calls = [start(workspace, output, trainers) for _ in range(2)]
    codes = [call.wait() for call in calls]
    assert codes == [0, 0], output.with_suffix(".log").read_text()[-5000:]
    assert done.items() <= finals(workspace).items()
    begun = [text[len(before.get(path, "")) :].count("$ nnUNetv2_train") for path, text in logs(output).items()]
    # none where only later stages were missing
    assert max(begun) <= 1, "two calls trained one run"
    table = pd.read_csv(output / "runs.csv")
    assert list(table["state"]) == ["done"] * (2 * len(trainers))
    assert table["dice"].between(0, 1).all()
    for name in ("comparison", "comparison_at_half"):
        assert (output / name / "compare.html").is_file()
    assert "Every run is done" in (output / "report.html").read_text()


@pytest.fixture(scope="module")
def finished(place) -> Path:
    """A matrix of one of our trainers and one of somebody's, both folds, killed twice on its way."""
    output = place.folder / "out"
    # what a process leaves that is killed while it writes its last checkpoint
    broken = fold_folder(place, "nnUNetTrainerTheirs", 1)
    broken.mkdir(parents=True)
    (broken / FINAL).write_bytes(b"PK\x03\x04 and half of the weights")
    kill_and_finish(place, output, [OURS, "nnUNetTrainerTheirs"], [12, 30])
    return output


def test_a_killed_matrix_ends_complete_and_a_broken_checkpoint_is_not_a_finished_training(place, finished):
    assert len(finals(place)) == 4
    assert (fold_folder(place, "nnUNetTrainerTheirs", 1) / "checkpoint_final.unreadable").exists()
    assert "checkpoint_final.pth was not used" in log_of(finished, "nnUNetTrainerTheirs", 1)


def test_thresholds_are_those_of_the_other_fold(place, finished):
    for fold in (0, 1):
        commands = re.findall(r"\$ (nnUNetv2_sizepenalty threshold .*)", log_of(finished, OURS, fold))
        assert f" -f {1 - fold} " in commands[-1]


def test_a_finished_matrix_starts_nothing(place, finished):
    before = finals(place), logs(finished)
    to_the_end(place, finished, [OURS, "nnUNetTrainerTheirs"])
    assert (finals(place), logs(finished)) == before


def test_a_report_of_what_is_done_by_now_runs_nothing(place, finished):
    before = finals(place), logs(finished)
    matrix = [OURS, "nnUNetTrainerTheirs", "nnUNetTrainerDT"]
    to_the_end(place, finished, matrix, "--report", exit_code=1)
    assert (finals(place), logs(finished)) == before
    assert list(pd.read_csv(finished / "runs.csv")["state"]) == ["done"] * 4 + ["queued"] * 2
    assert "nnUNetTrainerDT is not compared: 2 of its 2 runs are missing" in (finished / "report.html").read_text()
    nothing = place.folder / "nothing"
    to_the_end(place, nothing, matrix, "--report", exit_code=2)
    assert "so nothing of this matrix is done" in nothing.with_suffix(".log").read_text()
    assert not nothing.exists()


def test_a_run_that_fails_leaves_a_hole_and_stops_no_other(place, finished):
    to_the_end(place, finished, [OURS, "nnUNetTrainerFailsOnFold1"], "--executor", "debug", exit_code=1)
    table = pd.read_csv(finished / "runs.csv").set_index("run")
    states = {(row.trainer, row.fold): row.state for row in table.itertuples()}
    assert states == {
        (OURS, 0): "done", (OURS, 1): "done",
        ("nnUNetTrainerFailsOnFold1", 0): "failed", ("nnUNetTrainerFailsOnFold1", 1): "failed",
    }  # fmt: skip
    assert is_finished(fold_folder(place, "nnUNetTrainerFailsOnFold1", 0))
    report = (finished / "report.html").read_text()
    assert "2 of the runs are missing" in report
    assert "the disk of fold 1 is on fire" in report
    assert "no other fold was trained" in report
    assert "nnUNetTrainerFailsOnFold1 is not compared: 2 of its 2 runs are missing" in report


def test_ctrl_c_lets_ours_save(place):
    output, trainer = place.folder / "interrupted", "nnUNetTrainerDTS_300epochs"
    call = start(place, output, [trainer])
    fold = fold_folder(place, trainer, 0)
    while not re.match("epoch [1-9]", progress(fold)):
        assert call.poll() is None, output.with_suffix(".log").read_text()
        time.sleep(0.2)
    assert holder(fold.parent / ".fold_0.lock")
    call.send_signal(signal.SIGINT)
    assert call.wait(120) == 130
    assert holder(fold.parent / ".fold_0.lock") is None
    assert "SIGTERM received: saved epoch" in log_of(output, trainer, 0)
    assert resumable_checkpoint(fold) == "checkpoint_latest.pth"
    assert "The same command goes on from here" in output.with_suffix(".log").read_text()


@pytest.mark.full
def test_killed_ten_times_at_random_moments(place):
    seed = int(os.environ.get("ABLATION_KILL_SEED", "0"))
    draw = random.Random(seed)
    trainers = ["nnUNetTrainerDTF_2epochs", "nnUNetTrainerTFS_2epochs"]
    kill_and_finish(place, place.folder / "ten", trainers, [draw.uniform(3, 45) for _ in range(10)])
