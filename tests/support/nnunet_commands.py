"""nnU-Net's commands as a user types them, in folders of their own."""

import json
import os
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from nnunetv2_sizepenalty.demo.small_plan import shrink_plan

SCRIPTS = sysconfig.get_path("scripts")
# tests run two at a time, and two spinning threads on one core are ten times slower than one
ONE_THREAD = {
    **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "PYTHONPATH": str(Path(__file__).with_name("one_thread")),
}
FOLDERS = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")


def script(name: str) -> str:
    """The path of a command that is installed beside this Python."""
    found = shutil.which(name, path=SCRIPTS)
    assert found, f"{name} is not in {SCRIPTS}"
    return found


@dataclass(frozen=True)
class Workspace:
    """nnU-Net's three folders, and how commands are run in them."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """Variables for a subprocess: one thread and few workers each."""
        return {
            **os.environ,
            **{name: str(self.folder / name) for name in FOLDERS},
            **ONE_THREAD,
            "nnUNet_n_proc_DA": "0",
            "nnUNet_def_n_proc": "1",
        }

    def run(self, name: str, *arguments, exit_code: int = 0, **environment: str) -> subprocess.CompletedProcess:
        """Runs an installed command to its end and checks its exit code."""
        done = subprocess.run(
            [script(name), *map(str, arguments)],
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == exit_code, f"{name}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done


@dataclass(frozen=True)
class TinyDataset:
    """A preprocessed phantom dataset with a plan that trains in seconds."""

    workspace: Workspace
    id: str
    name: str
    plans: str
    test_images: Path
    phantom: Path

    def results(self, trainer: str) -> Path:
        """nnU-Net's results folder of a trainer."""
        folder = self.workspace.folder / "nnUNet_results" / self.name
        return folder / f"{trainer}__{self.plans}__3d_fullres"


def write_small_plan(workspace: Workspace, dataset: str, name: str, **values) -> None:
    """Writes nnU-Net's plans of `dataset`, made small, beside them."""
    folder = workspace.folder / "nnUNet_preprocessed" / dataset
    plans = json.loads((folder / "nnUNetPlans.json").read_text())
    (folder / f"{name}.json").write_text(json.dumps(shrink_plan(plans, name, **values)))
