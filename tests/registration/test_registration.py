"""nnU-Net finds the trainers with nothing set, from every kind of installation, and forgets them after uninstalling."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
LOOK_UP = (
    "from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name as find; "
    "print('FOUND', find('nnUNetTrainerDTS_tau300').__module__)"
)
SPAWN = """
import multiprocessing

def look_up(_):
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name as find
    return find("nnUNetTrainerDTS").__name__

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print("FOUND", pool.map(look_up, [0]))
"""

pytestmark = pytest.mark.integration


class Environment:
    """A virtual environment that sees the packages of this one, but none of its `.pth` files."""

    def __init__(self, folder: Path):
        venv.create(folder, symlinks=True)
        self.python = folder / "bin" / "python"
        self.site_packages = Path(
            subprocess.run(
                [self.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
                capture_output=True,
                text=True,
                check=True,
            ).stdout.strip()
        )
        (self.site_packages / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def pip(self, *arguments):
        command = [sys.executable, "-m", "pip", "--python", str(self.python), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def execute(self, code: str, **variables: str) -> subprocess.CompletedProcess:
        environment = {key: value for key, value in os.environ.items() if key != "nnUNet_extTrainer"}
        return subprocess.run(
            [self.python, "-c", code], env={**environment, **variables}, capture_output=True, text=True, cwd="/"
        )


@pytest.fixture
def environment(tmp_path):
    return Environment(tmp_path / "environment")


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """Wheel (made from the sdist, so that the sdist holds all that is needed) and sdist of a clean copy."""
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, PROJECT], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {suffix: next(folder.glob(f"*{suffix}")) for suffix in (".whl", ".tar.gz")}


def found(done: subprocess.CompletedProcess) -> bool:
    return done.returncode == 0 and "FOUND" in done.stdout


@pytest.mark.parametrize("kind", [".whl", ".tar.gz", "editable"])
def test_installed_found_uninstalled_gone(environment, distributions, kind, tmp_path):
    no_isolation = () if kind == ".whl" else ("--no-build-isolation",)
    what = ("-e", PROJECT) if kind == "editable" else (distributions[kind],)
    environment.pip("install", "-q", "--no-deps", *no_isolation, *what)
    done = environment.execute(LOOK_UP)
    assert found(done), done.stdout + done.stderr

    environment.pip("uninstall", "-q", "-y", "nnunetv2-sizepenalty")
    assert not found(environment.execute(LOOK_UP))
    assert not list(environment.site_packages.glob("*sizepenalty*"))


def test_beside_a_folder_that_the_user_set_and_in_spawned_processes(environment, distributions, tmp_path):
    environment.pip("install", "-q", "--no-deps", distributions[".whl"])
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "my_trainer.py").write_text(
        "from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer\n"
        "class nnUNetTrainerMine(nnUNetTrainer): pass\n"
    )
    variable = {"nnUNet_extTrainer": str(mine)}
    assert found(environment.execute(LOOK_UP, **variable))
    assert found(environment.execute(LOOK_UP.replace("DTS_tau300", "Mine"), **variable))
    script = tmp_path / "spawn.py"
    script.write_text(SPAWN)
    done = subprocess.run([environment.python, script], capture_output=True, text=True)
    assert found(done), done.stdout + done.stderr


def test_another_environment_that_inherits_the_variable_keeps_finding_its_trainers(environment):
    from nnunetv2_sizepenalty.registration import PLUGIN_FOLDER

    variable = {"nnUNet_extTrainer": str(PLUGIN_FOLDER)}
    done = environment.execute(LOOK_UP, **variable)
    assert not found(done)
    assert "Could not find requested nnunet trainer nnUNetTrainerDTS_tau300" in done.stderr
    assert found(environment.execute(LOOK_UP.replace("DTS_tau300", "_5epochs"), **variable))


def test_the_printed_line_registers_where_pth_files_are_off(environment, distributions):
    environment.pip("install", "-q", "--no-deps", distributions[".whl"])
    line = subprocess.run(
        [environment.python, "-m", "nnunetv2_sizepenalty.cli.main", "path"], capture_output=True, text=True, check=True
    ).stdout
    (environment.site_packages / "nnunetv2_sizepenalty.pth").unlink()
    assert not found(environment.execute(LOOK_UP))
    value = subprocess.run(
        ["bash", "-c", f'unset nnUNet_extTrainer; {line}\nprintf %s "$nnUNet_extTrainer"'],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert found(environment.execute(LOOK_UP, nnUNet_extTrainer=value))
