"""The share rule at many thresholds of one probability map, and the average precision of such a sweep."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nnunetv2_sizepenalty.evaluation import formulas
from nnunetv2_sizepenalty.evaluation.share import DEFAULT_SHARE, ShareCounter, Shares
from nnunetv2_sizepenalty.lesions import label_components
from nnunetv2_sizepenalty.lesions.boxes import bounding_box
from nnunetv2_sizepenalty.nnunet_io.thresholds import above


@dataclass(frozen=True)
class DetectionSweep:
    """One case at increasing thresholds.

    thresholds: shape (thresholds,). detected: boolean, shape (thresholds, n_reference).
    predictions, false_positives: numbers of components, shape (thresholds,).
    """

    thresholds: np.ndarray
    detected: np.ndarray
    predictions: np.ndarray
    false_positives: np.ndarray


def sweep_shares(
    reference_labels: np.ndarray,
    probability: np.ndarray,
    thresholds: Sequence[float],
    spacing_mm: Sequence[float],
    connectivity: int | None = None,
) -> Iterator[Shares]:
    """Yields the shares at each of the thresholds (lesion where the probability is above), which must increase."""
    if np.any(np.diff(thresholds) <= 0):
        raise ValueError("thresholds must increase")
    counter = ShareCounter(reference_labels, spacing_mm)
    origin = np.zeros(probability.ndim, dtype=int)
    for threshold in thresholds:
        mask = above(probability, threshold)
        # Masks of higher thresholds lie inside those of lower ones, so that the box only shrinks.
        box = bounding_box(mask)
        if box[0].stop:
            probability, mask = probability[box], mask[box]
            origin = origin + [part.start for part in box]
        yield counter.count(*label_components(mask, connectivity), origin)


def count_at_thresholds(
    reference_labels: np.ndarray,
    probability: np.ndarray,
    thresholds: Sequence[float],
    spacing_mm: Sequence[float],
    share: float = DEFAULT_SHARE,
    connectivity: int | None = None,
    min_voxels: float = 0,
) -> DetectionSweep:
    """Counts detected lesions and false positives of one case at each threshold; smaller components are left out.

    Args:
        reference_labels: 0 and the lesions 1 to n. probability: of the same shape, 2D or 3D.
        thresholds: increasing; lesion where the probability is above it.
    """
    found, predictions = [], []
    for shares in sweep_shares(reference_labels, probability, thresholds, spacing_mm, connectivity):
        kept = shares.overlaps.prediction_voxels >= min_voxels
        found.append(shares.detect(share, kept))
        predictions.append(kept.sum())
    n = int(np.max(reference_labels, initial=0))
    return DetectionSweep(
        np.asarray(thresholds, dtype=float),
        np.array([f.detected for f in found], dtype=bool).reshape(len(found), n),
        np.array(predictions, dtype=int),
        np.array([f.false_positive.sum() for f in found], dtype=int),
    )


def interpolated_average_precision(detected: np.ndarray, false_positives: np.ndarray, lesions: int) -> float:
    """Computes the area under the interpolated precision (`formulas`) from counts; the points may be in any order.

    Args:
        detected, false_positives: sums over the cases, shape (thresholds,). lesions: in all references.

    Returns:
        0 to 1; NaN without lesions.
    """
    if not lesions:
        return math.nan
    detected, false_positives = np.asarray(detected), np.asarray(false_positives)
    precision = formulas.detection_precision(detected, false_positives).value
    return formulas.interpolated_area(formulas.sensitivity(detected, lesions).value, precision)
