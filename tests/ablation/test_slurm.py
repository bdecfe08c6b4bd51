"""A matrix on a real Slurm, whose time limit is shorter than its trainings."""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import pytest
import torch
from ablation_trainers import MODULE
from nnunet_commands import FOLDERS, Workspace, script
from slurm_cluster import missing, running_cluster

pytestmark = [
    pytest.mark.integration,
    pytest.mark.full,  # minutes, most of them waiting for a time limit
    pytest.mark.skipif(sys.platform != "linux", reason="Slurm's daemons need Linux"),
    pytest.mark.skipif(bool(missing()), reason=f"apt-get install slurm-wlm munge: no {', '.join(missing())} here"),
]


@pytest.fixture
def place(tiny_dataset, tmp_path) -> Workspace:
    """The tiny dataset with a split that has a test part."""
    workspace = Workspace(tmp_path)
    for name in ("nnUNet_raw", "nnUNet_preprocessed"):
        shutil.copytree(tiny_dataset.workspace.folder / name, workspace.folder / name)
    (workspace.folder / FOLDERS[2]).mkdir()
    workspace.run("nnUNetv2_sizepenalty", "split", "-d", 997, "--folds", 2, "--holdout", 0.2, "--overwrite")
    (workspace.folder / "somebodys_trainers.py").write_text(MODULE)
    return workspace


def test_a_limit_shorter_than_the_training_is_finished_through_requeues(place):
    output = place.folder / "out"
    matrix = place.folder / "matrix.yaml"
    matrix.write_text("datasets: 997\nplans: TinyPlans\ntrainers: nnUNetTrainerSlow\nfolds: [0, 1]\ndevice: cpu\n")
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder, running_cluster(Path(folder), cpus=2) as slurm:
        environment = {**place.environment, "nnUNet_extTrainer": str(place.folder)}
        environment |= {name: slurm[name] for name in ("PATH", "SLURM_CONF")}
        done = subprocess.run(
            [script("nnUNetv2_sizepenalty"), "ablate", matrix, "-o", output, "--executor", "slurm", "--time", "2"],
            env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=900,
        )  # fmt: skip
        logs = [path.read_text() for path in sorted(output.glob("runs/*/log.txt"))]
        assert done.returncode == 0, done.stdout + done.stderr + "\n".join(log[-3000:] for log in logs)
    assert list(pd.read_csv(output / "runs.csv")["state"]) == ["done", "done"]
    for fold, log in enumerate(logs):
        saved = re.findall(r"SIGTERM received: saved epoch \d+ after ([1-9]\d*) iterations", log)
        assert saved
        assert re.findall(r"Continuing this epoch after (\d+) of", log) == saved
        assert log.count("training goes on from checkpoint_latest.pth") >= len(saved)
        (checkpoint,) = place.folder.glob(f"nnUNet_results/*/*/fold_{fold}/checkpoint_final.pth")
        logged = torch.load(checkpoint, weights_only=False)["logging"]
        assert len(logged["train_losses"]) == 4
        spent = logged["epoch_end_timestamps"][-1] - logged["epoch_start_timestamps"][0]
        assert spent > 120, "the limit of two minutes was long enough"
    assert "Requeued job" in "".join(path.read_text() for path in (output / "jobs").glob("*_log.*"))
