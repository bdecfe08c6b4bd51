"""What the scores of every cut of a grid are computed from, counted once per case."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from nnunetv2_sizepenalty.curves.sweep import sweep
from nnunetv2_sizepenalty.evaluation.detection import Detector
from nnunetv2_sizepenalty.evaluation.instances import find_instances
from nnunetv2_sizepenalty.evaluation.matching import find_overlaps, match_one_to_one
from nnunetv2_sizepenalty.evaluation.protocols import PROTOCOLS, SHARE, Protocol, Rule
from nnunetv2_sizepenalty.lesions import component_voxels, label_components, voxels_to_ml
from nnunetv2_sizepenalty.lesions.boxes import values_inside
from nnunetv2_sizepenalty.operating_point.grid import ThresholdGrid

MATCHING = PROTOCOLS["default"].matching


@dataclass(frozen=True)
class CaseCounts:
    """Counts of one class in one case; arrays have the shape (counted thresholds, counted sizes).

    Attributes:
        true_positive, prediction: voxels.
        detected: reference lesions that the rule of detection finds.
        false_positives: predicted lesions that detect none by that rule.
        n_prediction: predicted lesions.
        matched, matched_iou: one-to-one pairs of IoU >= 0.5, and the sum of their IoU.
        reference, n_reference: voxels and lesions of the reference.
        voxel_ml: volume of a voxel.
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
    voxel_ml: np.ndarray = np.nan

    def as_arrays(self) -> dict[str, np.ndarray]:
        """Returns the fields as arrays, to be stored; `CaseCounts(**arrays)` takes them back."""
        return {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}

    def rows(self, index: np.ndarray) -> "CaseCounts":
        """Returns the counts of some thresholds, by their numbers."""
        return replace(self, **{name: getattr(self, name)[index] for name in COUNTED})


COUNTED = tuple(field.name for field in fields(CaseCounts)[:-3])


def count_case(
    probability: np.ndarray,
    reference: np.ndarray,
    grid: ThresholdGrid,
    spacing_mm: Sequence[float],
    valid: np.ndarray | None = None,
    *,
    detection: Rule = SHARE,
    thresholds: Sequence[float] | None = None,
) -> CaseCounts:
    """Counts every cut of the grid on one case of one class.

    Args:
        probability: of the class, (z, y, x).
        reference: boolean, the same shape.
        spacing_mm: (z, y, x).
        valid: where the reference is known, everywhere when None. Predicted voxels outside count for a component's
            size, as they do when a filter is applied, and for nothing else.
        detection: when a lesion is found.
        thresholds: increasing; those of the grid when None.
    """
    thresholds = grid.counted_thresholds if thresholds is None else thresholds
    sizes = grid.sizes_in_voxels(spacing_mm)
    if valid is not None:
        reference = reference & valid
    lesions = find_instances(reference, spacing_mm, Protocol(connectivity=grid.connectivity), is_reference=True)
    lesions_at = np.column_stack(np.unravel_index(lesions.index, reference.shape))
    detector = Detector(lesions, detection, spacing_mm)
    columns = {
        name: np.zeros((len(thresholds), len(sizes)), dtype=float if name == "matched_iou" else np.int64)
        for name in COUNTED
    }

    for row, (_, mask, box) in enumerate(sweep(probability, thresholds)):
        if not mask.size:
            break
        predicted, n = label_components(mask, grid.connectivity)
        voxels = counted = component_voxels(predicted, n)
        if valid is not None:
            predicted = predicted * valid[box]
            counted = component_voxels(predicted, n)
        origin = [part.start for part in box]
        hit, inside = values_inside(predicted, lesions_at - origin)
        overlaps = find_overlaps(lesions.lesion[inside], hit, lesions.voxels, counted)
        detect = detector.of_kept(predicted, overlaps, origin)
        true_positive = np.bincount(overlaps.prediction, weights=overlaps.voxels, minlength=n + 1)[1:]
        for column, size in enumerate(sizes):
            keep = (voxels >= size) & (counted > 0)
            match = match_one_to_one(overlaps.of_kept(keep), MATCHING)
            detection = detect(keep, match)
            values = {
                "true_positive": true_positive[keep].sum(),
                "prediction": counted[keep].sum(),
                "detected": detection.detected.sum(),
                "false_positives": detection.false_positive.sum(),
                "n_prediction": keep.sum(),
                "matched": len(match.iou),
                "matched_iou": match.iou.sum(),
            }
            for name, value in values.items():
                columns[name][row, column] = value
    return CaseCounts(
        **columns,
        reference=np.asarray(len(lesions.index)),
        n_reference=np.asarray(len(lesions)),
        voxel_ml=np.asarray(voxels_to_ml(1, spacing_mm)),
    )
