"""FROC of one case: its lesions and candidates at every threshold."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import auc, precision_recall_curve

from nnunetv2_sizepenalty.curves.calibration import CalibrationCounts, count_calibration
from nnunetv2_sizepenalty.curves.sweep import sweep
from nnunetv2_sizepenalty.evaluation.case import mask_metrics
from nnunetv2_sizepenalty.evaluation.detection import Detector
from nnunetv2_sizepenalty.evaluation.instances import find_instances
from nnunetv2_sizepenalty.evaluation.pairing import pair_lesions
from nnunetv2_sizepenalty.evaluation.protocols import Protocol
from nnunetv2_sizepenalty.evaluation.strata import in_stratum, stratum_names
from nnunetv2_sizepenalty.lesions import SizeBins, size_of
from nnunetv2_sizepenalty.lesions.boxes import bounding_box
from nnunetv2_sizepenalty.nnunet_io.thresholds import above, dense_thresholds


@dataclass(frozen=True)
class FrocRules:
    """What is the same for all cases. The default thresholds are 93, evenly spaced in the logit, 0.5 among them."""

    protocol: Protocol
    bins: SizeBins
    thresholds: tuple[float, ...] = dense_thresholds()


@dataclass(frozen=True)
class CaseCurve:
    """One case and label: `rows` of `Froc.points`, counts of shape (thresholds, strata) or (strata,), calibration."""

    rows: list[dict[str, float]]
    lesions: np.ndarray
    detected: np.ndarray
    false_positives: np.ndarray
    calibration: CalibrationCounts
    pr_auc: float


def score_curve(
    probability: np.ndarray,
    reference: np.ndarray,
    spacing_mm: Sequence[float],
    rules: FrocRules,
    valid: np.ndarray | None,
) -> CaseCurve:
    """Scores one label of one case at every threshold.

    Args:
        probability: of the label. reference: boolean. valid: where the reference is known, everywhere when None.
            All of one shape.
    """
    calibration = count_calibration(probability, reference, spacing_mm, valid)
    pr_auc = _pr_auc(probability, reference, valid)
    if valid is not None:
        reference, probability = reference & valid, np.where(valid, probability, 0)
    strata = stratum_names(rules.bins, of_cases=False)
    box = bounding_box(reference, above(probability, rules.thresholds[0]))
    if box[0].stop == 0:
        box = (slice(0, 1),) * reference.ndim
    padding = 1 + rules.protocol.dilation
    probability, reference = np.pad(probability[box], padding), np.pad(reference[box], padding)
    ref = find_instances(reference, spacing_mm, rules.protocol, is_reference=True)
    detector = Detector(ref, rules.protocol.detection, spacing_mm)
    rows, detected, false_positives = [], [], []
    for _, mask, inside in sweep(probability, rules.thresholds):
        everywhere = np.zeros(probability.shape, dtype=bool)
        everywhere[inside] = mask
        pred = find_instances(everywhere, spacing_mm, rules.protocol, is_reference=False)
        pairing = pair_lesions(ref, pred, rules.protocol, detector)
        rows.append(mask_metrics(pairing, spacing_mm, rules.protocol))
        detected.append(_by_size(ref.voxels[pairing.detection.detected], spacing_mm, strata, rules.bins))
        false_positives.append(_by_size(pred.voxels[pairing.detection.false_positive], spacing_mm, strata, rules.bins))
    return CaseCurve(
        rows,
        np.array(_by_size(ref.voxels, spacing_mm, strata, rules.bins)),
        np.array(detected),
        np.array(false_positives),
        calibration,
        pr_auc,
    )


def _by_size(voxels: np.ndarray, spacing_mm: Sequence[float], strata: Sequence[str], bins: SizeBins) -> list[int]:
    sizes = size_of(voxels, spacing_mm)
    return [int(in_stratum(name, sizes, bins).sum()) for name in strata]


def _pr_auc(probability: np.ndarray, reference: np.ndarray, valid: np.ndarray | None) -> float:
    """Trapezoidal area under the voxels' precision-recall curve (ISLES'26's PR-AUC); NaN without a lesion."""
    if valid is not None:
        probability, reference = probability[valid], reference[valid]
    if not reference.any():
        return math.nan
    precision, recall, _ = precision_recall_curve(reference.ravel(), probability.ravel())
    return float(auc(recall, precision))
