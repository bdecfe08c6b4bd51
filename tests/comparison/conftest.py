"""One tiny comparison made of masks."""

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from nnunetv2_sizepenalty.curves.froc import write_froc
from nnunetv2_sizepenalty.curves.froc_folder import evaluate_probabilities
from nnunetv2_sizepenalty.evaluation import evaluate_folder, write_evaluation


@dataclass(frozen=True)
class Masks:
    """Folders of one reference and two models, `good` and `bad`, and the outputs of `evaluate` and `froc`."""

    root: Path

    def evaluation(self, name: str) -> Path:
        return self.root / f"evaluation_{name}"

    def froc(self, name: str) -> Path:
        return self.root / f"froc_{name}"

    @property
    def images(self) -> Path:
        return self.root / "images"


@pytest.fixture(scope="session")
def masks(tmp_path_factory) -> Masks:
    """10 cases of 2 mm: a lesion of 0.2 to 1.9 mL; `good` finds it shifted by a voxel, `bad` misses the small ones."""
    study = Masks(tmp_path_factory.mktemp("compare"))
    rng = np.random.default_rng(0)
    affine = np.diag([-2.0, -2.0, 2.0, 1.0])
    for folder in ("reference", "good", "bad", "images"):
        (study.root / folder).mkdir()
    for i in range(10):
        reference = np.zeros((12, 32, 32), np.uint8)
        half = 1 + i // 4
        reference[6 - half : 6 + half, 10 : 13 + i // 2, 8 : 12 + i // 3] = 1
        good = np.roll(reference, 1, axis=2)
        bad = np.roll(reference, 2, axis=1) * (i > 3)
        bad[2, 28:30, 28:30] = 1
        name = f"case_{i:02d}"
        for folder, array in (("reference", reference), ("good", good), ("bad", bad)):
            nib.save(nib.Nifti1Image(array.T, affine), study.root / folder / f"{name}.nii.gz")
            if folder != "reference":
                probability = np.clip(0.9 * array + 0.05 + rng.normal(0, 0.01, array.shape), 0, 1).astype(np.float32)
                np.savez(study.root / folder / f"{name}.npz", probabilities=np.stack([1 - probability, probability]))
        image = rng.normal(100, 10, reference.shape) + 50 * reference
        nib.save(nib.Nifti1Image(image.astype(np.float32).T, affine), study.images / f"{name}_0000.nii.gz")
    reference = study.root / "reference"
    for name in ("good", "bad"):
        write_evaluation(evaluate_folder(reference, study.root / name), study.evaluation(name))
        write_froc(evaluate_probabilities(reference, study.root / name), study.froc(name))
    return study
