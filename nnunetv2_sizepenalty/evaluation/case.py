"""Scores of one case: a reference mask and a predicted mask on one grid."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nnunetv2_sizepenalty.evaluation import surfaces
from nnunetv2_sizepenalty.evaluation.instances import Instances, find_instances
from nnunetv2_sizepenalty.evaluation.matching import Detection, Match, Overlaps, detect, find_overlaps, match_one_to_one
from nnunetv2_sizepenalty.evaluation.protocols import Protocol
from nnunetv2_sizepenalty.evaluation.records import FALSE_POSITIVE, REFERENCE, UNMATCHED
from nnunetv2_sizepenalty.lesions import voxels_to_ml


@dataclass(frozen=True)
class CaseScores:
    """metrics: one value per column of cases.csv. lesions: one array per column of lesions.csv, without case and label
    and the centroid's columns, which are `centroid` (rows, axes) in voxel indices."""

    metrics: dict[str, float]
    lesions: dict[str, np.ndarray]
    centroid: np.ndarray


def bounding_box(*arrays: np.ndarray) -> tuple[slice, ...]:
    """The smallest box that holds every voxel that is not 0 in any of the arrays; an empty box where there is none."""
    used = arrays[0] != 0
    for array in arrays[1:]:
        used |= array != 0
    box = []
    while used.ndim:
        along = np.flatnonzero(used.any(axis=tuple(range(1, used.ndim))))
        if not len(along):
            return (slice(0, 0),) * arrays[0].ndim
        box.append(slice(int(along[0]), int(along[-1]) + 1))
        used = used[box[-1]].any(axis=0)
    return tuple(box)


def score_case(
    reference: np.ndarray, prediction: np.ndarray, spacing_mm: Sequence[float], protocol: Protocol
) -> CaseScores:
    """Every metric of one pair of masks.

    Args:
        reference, prediction: 2D or 3D, one shape, everything that is not 0 is foreground.
        spacing_mm: one value per axis, in the arrays' order.
        protocol: the rules.
    """
    box = bounding_box(reference, prediction)
    # A layer of background around all, so that every lesion voxel has neighbours, and room for the dilation.
    padding = 1 + protocol.dilation
    ref = find_instances(np.pad(reference[box] != 0, padding), spacing_mm, protocol, is_reference=True)
    pred = find_instances(np.pad(prediction[box] != 0, padding), spacing_mm, protocol, is_reference=False)
    overlaps = find_overlaps(ref.lesion, pred.labels.ravel()[ref.index], ref.voxels, pred.voxels)
    touching = overlaps
    if ref.reach is not ref.labels:
        touching = find_overlaps(ref.reach.ravel()[pred.index], pred.lesion, ref.voxels, pred.voxels)
    match = match_one_to_one(overlaps, protocol.matching)
    detection = detect(touching if protocol.detection.metric == "overlap" else overlaps, protocol.detection, match)

    metrics = _volumes(ref, pred, overlaps, spacing_mm, protocol)
    metrics |= _recognition(detection, match, pred, spacing_mm, protocol)
    distance, lesion_masd = _surfaces(ref, pred, match, spacing_mm, protocol.nsd_mm)
    metrics |= distance
    dice, rve = dice_and_rve_per_lesion(len(ref), overlaps, touching)
    if protocol.lesionwise_above_mm3 is not None:
        from nnunetv2_sizepenalty.evaluation import lesionwise  # scikit-image loads slowly

        metrics |= lesionwise.score(ref, pred, touching, dice, spacing_mm, protocol.lesionwise_above_mm3)

    lesions = _lesion_table(ref, pred, detection, match, lesion_masd, spacing_mm)
    lesions["dice"][: len(ref)], lesions["rve"][: len(ref)] = dice, rve
    offset = [axis.start - padding for axis in box]
    rows = lesions.pop("row")
    centroid = np.concatenate([ref.centroids(), pred.centroids()])[rows] + offset
    return CaseScores(metrics, lesions, centroid)


def _volumes(ref: Instances, pred: Instances, overlaps: Overlaps, spacing_mm, protocol: Protocol) -> dict[str, float]:
    v_g, v_p, tp = int(ref.voxels.sum()), int(pred.voxels.sum()), int(overlaps.voxels.sum())
    reference_ml, prediction_ml = voxels_to_ml(v_g, spacing_mm), voxels_to_ml(v_p, spacing_mm)
    empty = v_g + v_p == 0
    return {
        "n_reference": len(ref),
        "n_prediction": len(pred),
        "reference_ml": reference_ml,
        "prediction_ml": prediction_ml,
        "dice": protocol.both_empty if empty else 2 * tp / (v_p + v_g),
        "iou": math.nan if empty else tp / (v_p + v_g - tp),
        "rve": abs(v_p - v_g) / v_g if v_g else math.nan,
        "volume_error_ml": prediction_ml - reference_ml,
        "absolute_volume_error_ml": abs(prediction_ml - reference_ml),
        "lesion_count_error": abs(len(pred) - len(ref)),
    }


def _recognition(
    detection: Detection, match: Match, pred: Instances, spacing_mm, protocol: Protocol
) -> dict[str, float]:
    n_reference, n_prediction = len(detection.detected), len(detection.false_positive)
    found = int(detection.detected.sum())
    missed, false_positives = n_reference - found, int(detection.false_positive.sum())
    empty = n_reference + n_prediction == 0
    tp = len(match.iou)
    fp, fn = n_prediction - tp, n_reference - tp
    # panoptica's convention: 0 where lesions exist and none is matched, NaN only where none exists.
    rq = tp / (tp + 0.5 * fp + 0.5 * fn) if tp else (math.nan if empty else 0.0)
    sq_matched = float(np.average(match.iou)) if tp else math.nan
    sq = sq_matched if tp else rq
    return {
        "missed": missed,
        "false_positives": false_positives,
        "false_positive_ml": voxels_to_ml(int(pred.voxels[detection.false_positive].sum()), spacing_mm),
        "detection_rate": found / n_reference if n_reference else math.nan,
        "lesion_f1": protocol.both_empty if empty else 2 * found / (2 * found + missed + false_positives),
        "pq": sq * rq,
        "sq": sq,
        "rq": rq,
        "tp": tp,
        "fp": fp,
        "fn": fn,
        "sq_matched": sq_matched,
    }


def _surfaces(
    ref: Instances, pred: Instances, match: Match, spacing_mm, nsd_mm: float
) -> tuple[dict[str, float], np.ndarray]:
    if not len(ref) or not len(pred):
        return dict.fromkeys(("assd", "masd", "hd95", "nsd", "lesion_masd"), math.nan), np.empty(0)
    ref_surface, pred_surface = (surfaces.extract_surface(instances, spacing_mm) for instances in (ref, pred))
    forward = surfaces.distances(ref_surface, pred_surface)
    backward = surfaces.distances(pred_surface, ref_surface)
    pairs = match.reference, match.prediction
    lesion_masd = surfaces.masd_of_pairs(ref_surface, pred_surface, forward, backward, pairs)
    return {
        "assd": surfaces.assd(forward.mm, backward.mm),
        "masd": surfaces.masd(forward.mm, backward.mm),
        "hd95": surfaces.hd95(forward.mm, backward.mm),
        "nsd": surfaces.nsd(forward.mm, backward.mm, nsd_mm),
        "lesion_masd": float(np.average(lesion_masd)) if len(lesion_masd) else math.nan,
    }, lesion_masd


def _lesion_table(
    ref: Instances,
    pred: Instances,
    detection: Detection,
    match: Match,
    lesion_masd: np.ndarray,
    spacing_mm,
) -> dict[str, np.ndarray]:
    """A row per reference lesion, then per predicted lesion that is a false positive or unmatched.

    `row` is the lesion's position among all reference and then all predicted lesions; dice and rve are left NaN.
    """
    n = len(ref)
    matched_iou, masd = np.full(n, np.nan), np.full(n, np.nan)
    matched_iou[match.reference - 1] = match.iou
    if len(lesion_masd):
        masd[match.reference - 1] = lesion_masd
    unmatched = np.ones(len(pred), dtype=bool)
    unmatched[match.prediction - 1] = False
    extra = np.flatnonzero(detection.false_positive | unmatched)
    kind = np.where(detection.false_positive[extra], FALSE_POSITIVE, UNMATCHED)
    voxels = np.concatenate([ref.voxels, pred.voxels[extra]])
    undefined, no = np.full(len(extra), np.nan), np.zeros(len(extra), dtype=bool)
    return {
        "row": np.concatenate([np.arange(n), n + extra]).astype(int),
        "kind": np.concatenate([np.full(n, REFERENCE, dtype=object), kind.astype(object)]),
        "lesion": np.concatenate([np.arange(n), extra]).astype(int) + 1,
        "volume_ml": voxels_to_ml(voxels, spacing_mm),
        "voxels": voxels,
        "detected": np.concatenate([detection.detected, no]),
        "matched": np.concatenate([~np.isnan(matched_iou), no]),
        "matched_iou": np.concatenate([matched_iou, undefined]),
        "dice": np.full(n + len(extra), np.nan),
        "rve": np.full(n + len(extra), np.nan),
        "lesion_masd": np.concatenate([masd, undefined]),
    }


def dice_and_rve_per_lesion(n: int, overlaps: Overlaps, touching: Overlaps) -> tuple[np.ndarray, np.ndarray]:
    """Dice and RVE of each reference lesion against all predicted lesions that touch it together; shapes (n,).

    A lesion that none touches has Dice 0 and RVE 1.
    """
    sizes = touching.prediction_voxels[touching.prediction - 1]
    predicted = np.bincount(touching.reference - 1, weights=sizes, minlength=n)
    common = np.bincount(overlaps.reference - 1, weights=overlaps.voxels, minlength=n)
    return 2 * common / (overlaps.reference_voxels + predicted), (
        np.abs(predicted - overlaps.reference_voxels) / overlaps.reference_voxels
    )
