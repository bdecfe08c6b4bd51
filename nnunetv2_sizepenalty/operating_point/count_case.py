"""What the scores of every cut of a grid are computed from, counted once per case."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from nnunetv2_sizepenalty.evaluation.matching import Overlaps, detect, find_overlaps, match_one_to_one
from nnunetv2_sizepenalty.evaluation.protocols import PROTOCOLS
from nnunetv2_sizepenalty.evaluation.sweep import sweep
from nnunetv2_sizepenalty.lesions import component_voxels, label_components
from nnunetv2_sizepenalty.operating_point.grid import Grid

RULES = PROTOCOLS["default"]


@dataclass(frozen=True)
class CaseCounts:
    """Counts of one class in one case; arrays have the shape (counted thresholds, counted sizes).

    Attributes:
        true_positive, prediction: voxels.
        detected: reference lesions with a predicted voxel.
        false_positives: predicted lesions that touch no reference lesion.
        n_prediction: predicted lesions.
        matched, matched_iou: one-to-one pairs of IoU >= 0.5, and the sum of their IoU.
        reference, n_reference: voxels and lesions of the reference.
    """

    true_positive: np.ndarray
    prediction: np.ndarray
    detected: np.ndarray
    false_positives: np.ndarray
    n_prediction: np.ndarray
    matched: np.ndarray
    matched_iou: np.ndarray
    reference: np.ndarray
    n_reference: np.ndarray

    def as_arrays(self) -> dict[str, np.ndarray]:
        """Returns the fields as arrays, to be stored; `CaseCounts(**arrays)` takes them back."""
        return {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}


def count_case(
    probability: np.ndarray,
    reference: np.ndarray,
    grid: Grid,
    spacing_mm: Sequence[float],
    valid: np.ndarray | None = None,
) -> CaseCounts:
    """Counts every cut of the grid on one case of one class.

    Args:
        probability: of the class, (z, y, x).
        reference: boolean, the same shape.
        spacing_mm: (z, y, x).
        valid: where the reference is known, everywhere when None. Predicted voxels outside count for a component's
            size, as they do when a filter is applied, and for nothing else.
    """
    thresholds, sizes = grid.counted_thresholds, grid.sizes_in_voxels(spacing_mm)
    if valid is not None:
        reference = reference & valid
    labels, n_reference = label_components(reference, grid.connectivity)
    where = np.argwhere(reference)
    lesions = labels[tuple(where.T)]
    reference_voxels = component_voxels(lesions, n_reference)
    columns = {
        field.name: np.zeros((len(thresholds), len(sizes)), dtype=float if field.name == "matched_iou" else np.int64)
        for field in fields(CaseCounts)[:-2]
    }

    for row, (_, mask, box) in enumerate(sweep(probability, thresholds)):
        if not mask.size:
            break
        predicted, n = label_components(mask, grid.connectivity)
        voxels = component_voxels(predicted, n)
        counted = voxels if valid is None else component_voxels(predicted[valid[box]], n)

        at = where - [part.start for part in box]
        inside = ((at >= 0) & (at < mask.shape)).all(axis=1)
        hit = predicted[tuple(at[inside].T)]
        overlaps = find_overlaps(lesions[inside], hit, reference_voxels, counted)
        true_positive = component_voxels(hit, n)
        for column, size in enumerate(sizes):
            keep = (voxels >= size) & (counted > 0)
            kept = _only(overlaps, keep)
            match = match_one_to_one(kept, RULES.matching)
            found = detect(kept, RULES.detection, match)
            values = {
                "true_positive": true_positive[keep].sum(),
                "prediction": counted[keep].sum(),
                "detected": found.detected.sum(),
                "false_positives": (found.false_positive & keep).sum(),
                "n_prediction": keep.sum(),
                "matched": len(match.iou),
                "matched_iou": match.iou.sum(),
            }
            for name, value in values.items():
                columns[name][row, column] = value
    return CaseCounts(**columns, reference=np.asarray(len(where)), n_reference=np.asarray(n_reference))


def _only(overlaps: Overlaps, keep: np.ndarray) -> Overlaps:
    """Keeps the pairs whose predicted lesion stays."""
    pairs = keep[overlaps.prediction - 1]
    return replace(
        overlaps,
        reference=overlaps.reference[pairs],
        prediction=overlaps.prediction[pairs],
        voxels=overlaps.voxels[pairs],
    )
