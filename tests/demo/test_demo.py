"""The demo as a newcomer types it: it learns what a threshold on DWI can't do, and shows what was missed."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from nnunet_commands import ONE_THREAD, script

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "out"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("nnUNet_")}
    done = subprocess.run(
        [script("nnUNetv2_sizepenalty"), "demo", "-o", folder],
        capture_output=True,
        text=True,
        env=environment | ONE_THREAD,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder, done.stdout


def test_dts_learned_more_than_a_threshold(demo):
    folder, _ = demo
    result = json.loads((folder / "demo.json").read_text())
    trainers = result["trainers"]
    assert trainers["nnUNetTrainerDTS"]["dice"] > max(0.5, result["floor"]["dice"])
    assert set(trainers) == {"nnUNetTrainerDTS", "nnUNetTrainer"}
    assert all(set(row) == {"trainer", "dice", "rve"} for row in trainers.values())
    print(json.dumps(result["seconds"]), sum(result["seconds"].values()))


def test_it_says_where_everything_is_and_shows_its_commands(demo):
    folder, output = demo
    result = json.loads((folder / "demo.json").read_text())
    assert all(Path(path).is_dir() for path in result["folders"].values())
    pictures = list((folder / "overlays").glob("*.png"))
    assert len(pictures) == len(list((folder / "test_images").glob("*_0000.nii.gz"))) > 0
    assert "$ nnUNetv2_train 999 3d_fullres 0 -tr nnUNetTrainerDTS" in output


def test_a_folder_in_use_is_refused(demo):
    folder, _ = demo
    done = subprocess.run([script("nnUNetv2_sizepenalty"), "demo", "-o", folder], capture_output=True, text=True)
    assert done.returncode == 2
    assert "is not an empty folder" in done.stderr
