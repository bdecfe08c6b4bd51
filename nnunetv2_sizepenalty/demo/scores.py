"""Dice and relative volume error of the demo's test cases, beside what one threshold on DWI reaches."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk

from nnunetv2_sizepenalty.lesions import label_components, voxels_to_ml
from nnunetv2_sizepenalty.mismatch import CHANNELS


@dataclass(frozen=True)
class Case:
    """One test case; arrays are (z, y, x), predictions are masks by trainer."""

    name: str
    dwi: np.ndarray
    reference: np.ndarray
    predictions: dict[str, np.ndarray]
    spacing_mm: tuple[float, ...]


def read_cases(folder: Path, trainers: list[str]) -> list[Case]:
    """The test cases of the demo in `folder`."""
    cases = []
    for path in sorted((folder / "phantom" / "test" / "derivatives").rglob("*_msk.nii.gz")):
        name = path.name.removesuffix("_msk.nii.gz")
        (dwi_path,) = (folder / "test_images").glob(f"{name}*_{CHANNELS['dwi']:04d}.nii.gz")
        converted = dwi_path.name.removesuffix(f"_{CHANNELS['dwi']:04d}.nii.gz")
        dwi = sitk.ReadImage(str(dwi_path))
        predictions = {
            trainer: sitk.GetArrayFromImage(
                sitk.ReadImage(str(folder / "predictions" / trainer / f"{converted}.nii.gz"))
            ).astype(bool)
            for trainer in trainers
        }
        reference = sitk.GetArrayFromImage(sitk.ReadImage(str(path))).astype(bool)
        cases.append(Case(name, sitk.GetArrayFromImage(dwi), reference, predictions, dwi.GetSpacing()[::-1]))
    return cases


def missed_lesions(reference: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """The voxels of those reference lesions that no predicted voxel touches."""
    labels, n = label_components(reference)
    return np.isin(labels, np.setdiff1d(np.arange(1, n + 1), labels[prediction]))


def dice(reference: np.ndarray, prediction: np.ndarray) -> float:
    """2 TP / (V_p + V_g); 1 for two empty masks."""
    total = reference.sum() + prediction.sum()
    return float(2 * (reference & prediction).sum() / total) if total else 1.0


def score(cases: list[Case]) -> pd.DataFrame:
    """A row per case and trainer; rve is NaN where there is no lesion."""
    rows = []
    for case in cases:
        reference_voxels = int(case.reference.sum())
        for trainer, prediction in case.predictions.items():
            error = abs(int(prediction.sum()) - reference_voxels)
            rows.append(
                {
                    "case": case.name,
                    "trainer": trainer,
                    "reference_ml": round(voxels_to_ml(reference_voxels, case.spacing_mm), 3),
                    "prediction_ml": round(voxels_to_ml(int(prediction.sum()), case.spacing_mm), 3),
                    "lesions": label_components(case.reference)[1],
                    "missed": label_components(missed_lesions(case.reference, prediction))[1],
                    "dice": dice(case.reference, prediction),
                    "rve": error / reference_voxels if reference_voxels else float("nan"),
                }
            )
    return pd.DataFrame(rows)


def best_fixed_threshold(cases: list[Case]) -> tuple[float, float]:
    """The threshold on the scaled DWI with the best mean Dice over the test cases themselves, and that Dice."""
    thresholds = np.linspace(0.02, 0.98, 49)
    means = [np.mean([dice(case.reference, case.dwi > threshold) for case in cases]) for threshold in thresholds]
    best = int(np.argmax(means))
    return float(thresholds[best]), float(means[best])
