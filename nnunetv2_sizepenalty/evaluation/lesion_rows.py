"""The rows of lesions.csv for one case."""

from collections.abc import Sequence

import numpy as np

from nnunetv2_sizepenalty.evaluation import formulas
from nnunetv2_sizepenalty.evaluation.kinds import FALSE_POSITIVE, REFERENCE, UNMATCHED
from nnunetv2_sizepenalty.evaluation.matching import Overlaps
from nnunetv2_sizepenalty.evaluation.metrics import LESION_ID
from nnunetv2_sizepenalty.evaluation.pairing import Pairing
from nnunetv2_sizepenalty.lesions import size_of, size_unit


def lesion_rows(
    pairing: Pairing, lesion_masd: np.ndarray, spacing_mm: Sequence[float]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """A row per reference lesion, then per predicted lesion that is a false positive or unmatched.

    Args:
        lesion_masd: of each matched pair, shape (tp,); empty where no surface was compared.

    Returns:
        The columns of lesions.csv without case, label and centroid, and `LESION_ID` where a mask holds ids; and the
        centroids, voxel indices (rows, axes).
    """
    ref, pred, match, detection = pairing.reference, pairing.prediction, pairing.match, pairing.detection
    n = len(ref)
    matched_iou, masd = np.full(n, np.nan), np.full(n, np.nan)
    matched_iou[match.reference - 1] = match.iou
    masd[match.reference[: len(lesion_masd)] - 1] = lesion_masd
    dice, rve = dice_and_rve_per_lesion(pairing.overlaps, pairing.touching)
    unmatched = np.ones(len(pred), dtype=bool)
    unmatched[match.prediction - 1] = False
    extra = np.flatnonzero(detection.false_positive | unmatched)
    kind = np.where(detection.false_positive[extra], FALSE_POSITIVE, UNMATCHED).astype(object)
    voxels = np.concatenate([ref.voxels, pred.voxels[extra]])

    def padded(values: np.ndarray, fill: float | bool) -> np.ndarray:
        return np.concatenate([values, np.full(len(extra), fill)])

    columns = {
        "kind": np.concatenate([np.full(n, REFERENCE, dtype=object), kind]),
        "lesion": np.concatenate([np.arange(n), extra]).astype(int) + 1,
        size_unit(spacing_mm).column("volume"): size_of(voxels, spacing_mm),
        "voxels": voxels,
        "detected": padded(detection.detected, False),
        "matched": padded(~np.isnan(matched_iou), False),
        "matched_iou": padded(matched_iou, np.nan),
        "dice": padded(dice, np.nan),
        "rve": padded(rve, np.nan),
        "lesion_masd": padded(masd, np.nan),
    }
    if any(side.ids is not None for side in (ref, pred)):
        ids = [np.full(len(side), None) if side.ids is None else side.ids.astype(object) for side in (ref, pred)]
        columns[LESION_ID] = np.concatenate([ids[0], ids[1][extra]])
    return columns, np.concatenate([ref.centroids(), pred.centroids()[extra]])


def dice_and_rve_per_lesion(overlaps: Overlaps, touching: Overlaps) -> tuple[np.ndarray, np.ndarray]:
    """Dice and RVE of each reference lesion against all predicted lesions that touch it together; shapes (n,).

    A lesion that none touches has Dice 0 and RVE 1.
    """
    own = overlaps.reference_voxels
    sizes = touching.prediction_voxels[touching.prediction - 1]
    predicted = np.bincount(touching.reference - 1, weights=sizes, minlength=len(own))
    common = np.bincount(overlaps.reference - 1, weights=overlaps.voxels, minlength=len(own))
    return formulas.dice(common, predicted, own).value, formulas.relative_volume_error(predicted, own).value
