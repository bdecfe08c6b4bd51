"""Tiny cases on disk: random ADC and DWI and a box for a lesion, on an oblique grid."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from nnunetv2_sizepenalty.cli.main import main

SPACING_XYZ = (1.5, 1.5, 4.0)
ORIGIN = (-30.5, 12.25, 7.0)


def rotation(degrees: float) -> list[float]:
    """Direction cosines of a turn about x, row by row."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return [1, 0, 0, 0, c, -s, 0, s, c]


class CaseWriter:
    """Writes images of one case, by default in the ISLES 2022 layout below `root`."""

    shape = (6, 12, 10)  # z, y, x

    def __init__(self, root: Path):
        self.root = root

    def path(self, name: str, role: str, suffix: str = ".nii.gz") -> Path:
        folder = "derivatives" if role == "msk" else "rawdata"
        return self.root / folder / name / "ses-0001" / f"{name}_ses-0001_{role}{suffix}"

    def values(self, seed: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(seed)
        adc = rng.normal(0.8, 0.4, self.shape)  # negative values among them
        dwi = rng.gamma(2, 100, self.shape)
        mask = np.zeros(self.shape, np.uint8)
        mask[1:4, 2:7, 3:8] = 1
        return {"adc": adc, "dwi": dwi, "msk": mask}

    def write(self, path: Path, values: np.ndarray, *, spacing=SPACING_XYZ, origin=ORIGIN, degrees=12.0) -> Path:
        image = sitk.GetImageFromArray(values)
        if values.ndim == 3:
            image.SetSpacing(spacing)
            image.SetOrigin(origin)
            image.SetDirection(rotation(degrees))
        path.parent.mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(image, str(path))
        return path

    def case(self, name: str, seed: int = 0, suffix: str = ".nii.gz") -> dict[str, Path]:
        return {role: self.write(self.path(name, role, suffix), values) for role, values in self.values(seed).items()}


@pytest.fixture
def source(tmp_path) -> CaseWriter:
    return CaseWriter(tmp_path / "source")


@pytest.fixture
def nnunet(tmp_path, monkeypatch) -> Path:
    """nnU-Net's three variables point below the returned folder."""
    for name in ("raw", "preprocessed", "results"):
        monkeypatch.setenv(f"nnUNet_{name}", str(tmp_path / "nnunet" / name))
    return tmp_path / "nnunet"


@pytest.fixture
def convert():
    """The command in one process; returns its exit code."""
    return lambda *args: main(["convert", *map(str, args), *([] if "--processes" in args else ["--processes", "1"])])
