"""nnUNetv2_train and nnUNetv2_predict on the tiny dataset: started, waited for, stopped, continued."""

import os
import signal
import subprocess
import time
from pathlib import Path

from nnunet_commands import TinyDataset, Workspace, script


def start_training(tiny: TinyDataset, trainer: str, *options, **environment) -> tuple[subprocess.Popen, Path]:
    """nnUNetv2_train as a process group of its own, so that its workers can be killed with it; and its log."""
    log = tiny.workspace.folder / f"{trainer}{''.join(options)}.log"
    command = [script("nnUNetv2_train"), tiny.id, "3d_fullres", "0", "-tr", trainer, "-p", tiny.plans, "-device", "cpu"]
    return subprocess.Popen(
        [*command, *options],
        env={**tiny.workspace.environment, **environment},
        stdout=log.open("w"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ), log


def train_to_the_end(tiny: TinyDataset, trainer: str, *options, **environment) -> str:
    """Returns what the command printed."""
    process, log = start_training(tiny, trainer, *options, **environment)
    assert process.wait() == 0, log.read_text()[-3000:]
    return log.read_text()


def wait_for_path(process: subprocess.Popen, path: Path, log: Path) -> None:
    while not path.exists():
        assert process.poll() is None, log.read_text()[-3000:]
        time.sleep(0.05)


def wait_for_text(process: subprocess.Popen, text: str, log: Path) -> None:
    while text not in log.read_text():
        assert process.poll() is None, log.read_text()[-3000:]
        time.sleep(0.02)


def kill(process: subprocess.Popen) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def kill_after_first_epoch(tiny: TinyDataset, trainer: str) -> None:
    process, log = start_training(tiny, trainer)
    wait_for_path(process, tiny.results(trainer) / "fold_0" / "checkpoint_best.pth", log)
    kill(process)
    assert not (tiny.results(trainer) / "fold_0" / "checkpoint_final.pth").exists()


def stop_in_second_epoch(tiny: TinyDataset, trainer: str) -> None:
    """SIGTERM, as a job scheduler sends it: the iteration is saved in checkpoint_latest.pth."""
    stop_at(tiny, trainer, "Epoch 1")


def stop_at(tiny: TinyDataset, trainer: str, text: str, *options) -> None:
    """SIGTERM once the command has printed `text`."""
    process, log = start_training(tiny, trainer, *options)
    wait_for_text(process, text, log)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) == 128 + signal.SIGTERM


def continue_to_the_end(tiny: TinyDataset, trainer: str) -> str:
    return train_to_the_end(tiny, trainer, "--c")


def predict(workspace: Workspace, tiny: TinyDataset, trainer: str, output: Path) -> None:
    workspace.run(
        "nnUNetv2_predict",
        *("-i", tiny.test_images, "-o", output, "-d", tiny.id, "-c", "3d_fullres", "-tr", trainer, "-p", tiny.plans),
        *("-f", 0, "-device", "cpu", "-npp", 1, "-nps", 1),
    )


def masks(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.nii.gz"))
