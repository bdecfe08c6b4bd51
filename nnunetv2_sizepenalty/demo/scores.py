"""Dice and relative volume error of the demo's test cases, beside what one threshold on DWI reaches."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk

from nnunetv2_sizepenalty.evaluation.case import mask_metrics
from nnunetv2_sizepenalty.evaluation.detection import Detector
from nnunetv2_sizepenalty.evaluation.instances import find_instances
from nnunetv2_sizepenalty.evaluation.pairing import Pairing, pair_lesions
from nnunetv2_sizepenalty.evaluation.protocols import Protocol
from nnunetv2_sizepenalty.mismatch import CHANNELS

RULES = Protocol(both_empty=1.0)


@dataclass(frozen=True)
class PredictedCase:
    """One test case; arrays are (z, y, x), predictions are masks by trainer."""

    name: str
    dwi: np.ndarray
    reference: np.ndarray
    predictions: dict[str, np.ndarray]
    spacing_mm: tuple[float, ...]


def read_cases(folder: Path, trainers: list[str]) -> list[PredictedCase]:
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
        cases.append(PredictedCase(name, sitk.GetArrayFromImage(dwi), reference, predictions, dwi.GetSpacing()[::-1]))
    return cases


def _pairing(case: PredictedCase, prediction: np.ndarray) -> Pairing:
    reference = find_instances(case.reference, case.spacing_mm, RULES, is_reference=True)
    predicted = find_instances(prediction, case.spacing_mm, RULES, is_reference=False)
    return pair_lesions(reference, predicted, RULES, Detector(reference, RULES.detection, case.spacing_mm))


def missed_lesions(case: PredictedCase, prediction: np.ndarray) -> np.ndarray:
    """The voxels of those reference lesions that no predicted voxel touches."""
    pairing = _pairing(case, prediction)
    missed = np.concatenate([[False], ~pairing.detection.detected])
    return missed[pairing.reference.labels]


def metrics(case: PredictedCase, prediction: np.ndarray) -> dict[str, float]:
    """The evaluation's metrics of volumes, overlap and detection; Dice is 1 for two empty masks."""
    return mask_metrics(_pairing(case, prediction), case.spacing_mm, RULES)


def score(cases: list[PredictedCase]) -> pd.DataFrame:
    """A row per case and trainer; rve is NaN where there is no lesion."""
    rows = []
    for case in cases:
        for trainer, prediction in case.predictions.items():
            found = metrics(case, prediction)
            rows.append(
                {
                    "case": case.name,
                    "trainer": trainer,
                    "reference_ml": round(found["reference_ml"], 3),
                    "prediction_ml": round(found["prediction_ml"], 3),
                    "lesions": found["n_reference"],
                    "missed": found["missed"],
                    "dice": found["dice"],
                    "rve": found["rve"],
                }
            )
    return pd.DataFrame(rows)


def best_fixed_threshold(cases: list[PredictedCase]) -> tuple[float, float]:
    """The threshold on the scaled DWI with the best mean Dice over the test cases themselves, and that Dice."""
    thresholds = np.linspace(0.02, 0.98, 49)
    means = [np.mean([metrics(case, case.dwi > threshold)["dice"] for case in cases]) for threshold in thresholds]
    best = int(np.argmax(means))
    return float(thresholds[best]), float(means[best])
