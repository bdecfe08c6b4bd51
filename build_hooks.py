"""Places `nnunetv2_sizepenalty.pth`, which registers the trainers with nnU-Net, in wheels and editable installs."""

from pathlib import Path

from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel

PROJECT_DIR = Path(__file__).resolve().parent
PTH = PROJECT_DIR / "nnunetv2_sizepenalty.pth"


class BuildPy(build_py):
    """Copies the `.pth` file beside the package, so that it lands in site-packages and leaves with uninstall."""

    def run(self):
        super().run()
        if not self.editable_mode:
            self.copy_file(str(PTH), str(Path(self.build_lib) / PTH.name))


class EditableWheel(editable_wheel):
    """Writes the same line with the project's folder in place of site-packages."""

    def _run_build_commands(self, dist_name, unpacked_wheel, *args):
        result = super()._run_build_commands(dist_name, unpacked_wheel, *args)
        line = PTH.read_text().replace("sitedir", repr(str(PROJECT_DIR)))
        (Path(unpacked_wheel) / PTH.name).write_text(line)
        return result
