"""BraTS's lesion-wise scores (BraTS-METS 2023): Dice and HD95 per reference lesion, false positives counted in.

The rules were read in github.com/rachitsaluja/BraTS-2023-Metrics (metrics.py at 43c90524) and are stated anew here.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes

from nnunetv2_sizepenalty.evaluation.instances import Instances
from nnunetv2_sizepenalty.evaluation.lesion_rows import dice_and_rve_per_lesion
from nnunetv2_sizepenalty.evaluation.matching import Overlaps
from nnunetv2_sizepenalty.evaluation.pairing import Pairing
from nnunetv2_sizepenalty.lesions import voxel_volume_mm3

# BraTS's distance for a missed or an invented lesion: the diagonal of its 240 x 240 x 155 mm grid.
PENALTY_MM = 374.0

COLUMNS = ("lesionwise_dice", "lesionwise_hd95", "lesionwise_tp", "lesionwise_fp", "lesionwise_fn", "surfel_hd95")


def score(pairing: Pairing, spacing_mm: Sequence[float], above_mm3: float) -> dict[str, float]:
    """Computes the columns of `COLUMNS` for one case.

    Reference lesions of `above_mm3` or less are left out, and so are the predicted lesions that touch them; each
    false positive adds a lesion of Dice 0 and HD95 374 mm. For 3D masks.
    """
    ref, pred, touching = pairing.reference, pairing.prediction, pairing.touching
    dice, _ = dice_and_rve_per_lesion(pairing.overlaps, touching)
    large = np.flatnonzero(ref.voxels * voxel_volume_mm3(spacing_mm) > above_mm3)
    touched = np.isin(np.arange(1, len(ref) + 1), touching.reference)
    false_positives = len(pred) - len(np.unique(touching.prediction))
    hd95 = [_lesion_hd95(ref, pred, touching, lesion + 1, spacing_mm) for lesion in large]
    n = len(large) + false_positives
    return {
        "lesionwise_dice": float(dice[large].sum()) / n if n else 1.0,
        "lesionwise_hd95": (sum(hd95) + PENALTY_MM * false_positives) / n if n else 0.0,
        "lesionwise_tp": int(touched[large].sum()),
        "lesionwise_fp": false_positives,
        "lesionwise_fn": int((~touched[large]).sum()),
        "surfel_hd95": surfel_hd95(ref.labels != 0, pred.labels != 0, spacing_mm) if len(ref) + len(pred) else 0.0,
    }


def _lesion_hd95(ref: Instances, pred: Instances, touching: Overlaps, lesion: int, spacing_mm) -> float:
    predicted = touching.prediction[touching.reference == lesion]
    if not len(predicted):
        return PENALTY_MM
    chosen = np.zeros(len(pred) + 1, dtype=bool)
    chosen[predicted] = True
    return surfel_hd95(ref.labels == lesion, chosen[pred.labels], spacing_mm)


def surfel_hd95(reference: np.ndarray, prediction: np.ndarray, spacing_mm: Sequence[float]) -> float:
    """Computes the larger directed 95th percentile of the distance between surface elements, weighted by area.

    A surface element sits on a corner between voxels; its area is that of the marching-cubes triangles in its 2 x 2 x 2
    neighbourhood (DeepMind's surface-distance). 374 mm where one mask is empty.
    """
    if not reference.any() or not prediction.any():
        return PENALTY_MM
    (points_r, area_r), (points_p, area_p) = _surfels(reference, spacing_mm), _surfels(prediction, spacing_mm)
    forward = _weighted_percentile(cKDTree(points_p).query(points_r)[0], area_r, 0.95)
    backward = _weighted_percentile(cKDTree(points_r).query(points_p)[0], area_p, 0.95)
    return max(forward, backward)


def _weighted_percentile(values: np.ndarray, weights: np.ndarray, share: float) -> float:
    order = np.lexsort((weights, values))
    cumulative = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][min(np.searchsorted(cumulative, share), len(values) - 1)])


def _surfels(mask: np.ndarray, spacing_mm: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Position in mm and area in mm^2 of each surface element of a mask."""
    kernel = 2 ** np.arange(8)[::-1].reshape(2, 2, 2)
    code = ndimage.correlate(np.pad(mask, ((0, 1),) * 3).astype(np.uint8), kernel, mode="constant")
    on_surface = (code != 0) & (code != 255)
    return np.argwhere(on_surface) * np.asarray(spacing_mm), _areas(tuple(map(float, spacing_mm)))[code[on_surface]]


@lru_cache(maxsize=16)
def _areas(spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """Area in mm^2 of the surface in a 2 x 2 x 2 neighbourhood, by its code (one bit a voxel), shape (256,)."""
    areas = np.zeros(256)
    for code in range(1, 255):
        # The surface of a mask is that of its complement; the rarer side has the unambiguous triangles.
        fewer = code if code.bit_count() <= 4 else 255 - code
        corners = (fewer >> np.arange(8)[::-1] & 1).astype(float).reshape(2, 2, 2)
        vertices, faces, *_ = marching_cubes(corners, 0.5, method="lorensen")
        a, b, c = (vertices.astype(float) * spacing_mm)[faces].transpose(1, 0, 2)
        areas[code] = np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2
    return areas
