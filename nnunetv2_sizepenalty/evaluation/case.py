"""Scores of one case: a reference mask and a predicted mask on one grid."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nnunetv2_sizepenalty.evaluation import formulas, surfaces
from nnunetv2_sizepenalty.evaluation.detection import Detector
from nnunetv2_sizepenalty.evaluation.instances import find_instances
from nnunetv2_sizepenalty.evaluation.joining import join_lesions
from nnunetv2_sizepenalty.evaluation.lesion_rows import lesion_rows
from nnunetv2_sizepenalty.evaluation.pairing import Pairing, pair_lesions
from nnunetv2_sizepenalty.evaluation.protocols import SHARE, Protocol
from nnunetv2_sizepenalty.evaluation.share_check import Oversized, find_oversized, share_metrics
from nnunetv2_sizepenalty.lesions import size_of, size_unit
from nnunetv2_sizepenalty.lesions.boxes import bounding_box


@dataclass(frozen=True)
class CaseScores:
    """metrics: one value per column of cases.csv. lesions: one array per column of lesions.csv, without case and label
    and the centroid's columns, which are `centroid` (rows, axes) in voxel indices. oversized: components to warn of."""

    metrics: dict[str, float]
    lesions: dict[str, np.ndarray]
    centroid: np.ndarray
    oversized: tuple[Oversized, ...]


def score_case(
    reference: np.ndarray,
    prediction: np.ndarray,
    spacing_mm: Sequence[float],
    protocol: Protocol,
    joining: tuple[np.ndarray, np.ndarray] | None = None,
) -> CaseScores:
    """Every metric of one pair of masks.

    Args:
        reference, prediction: 2D or 3D, one shape, everything that is not 0 is foreground (`find_instances`).
        spacing_mm: one value per axis, in the arrays' order.
        protocol: the rules.
        joining: the masks, of reference and prediction, of the label that joins lesions (`Protocol.joined_by`).
    """
    box = bounding_box(reference, prediction, *(joining or ()))
    # A layer of background around all, so that every lesion voxel has neighbours, and room for the dilation.
    padding = 1 + protocol.dilation
    ref = find_instances(np.pad(reference[box], padding), spacing_mm, protocol, is_reference=True)
    pred = find_instances(np.pad(prediction[box], padding), spacing_mm, protocol, is_reference=False)
    if joining is not None:
        ref, pred = (
            join_lesions(lesions, np.pad(mask[box] != 0, padding), spacing_mm, protocol, is_reference=lesions is ref)
            for lesions, mask in zip((ref, pred), joining, strict=True)
        )
    pairing = pair_lesions(ref, pred, protocol, Detector(ref, protocol.detection, spacing_mm))
    metrics = mask_metrics(pairing, spacing_mm, protocol)
    distance, lesion_masd = _surfaces(pairing, spacing_mm, protocol.nsd_mm)
    metrics |= distance
    if protocol.appends is not None:
        from nnunetv2_sizepenalty.evaluation.challenge_columns import COLUMNS

        metrics |= COLUMNS[protocol.appends].score(pairing, spacing_mm, protocol.lesionwise_above_mm3)
    overlaps = pairing.overlaps
    by_share = pairing.detection
    if protocol.detection != SHARE:
        by_share = Detector(ref, SHARE, spacing_mm).detect(pred, overlaps, pairing.touching, pairing.match)
    metrics |= share_metrics(by_share)
    lesions, centroid = lesion_rows(pairing, lesion_masd, spacing_mm)
    return CaseScores(metrics, lesions, centroid + [axis.start - padding for axis in box], find_oversized(overlaps))


def mask_metrics(pairing: Pairing, spacing_mm: Sequence[float], protocol: Protocol) -> dict[str, float]:
    """The metrics that need no surface: volumes, overlap, detection and matching."""
    metrics = _volumes(pairing, spacing_mm, protocol.both_empty) | _recognition(
        pairing, spacing_mm, protocol.both_empty
    )
    if protocol.dice_needs_match and metrics["tp"] == 0 and not math.isnan(metrics["iou"]):
        metrics["dice"] = 0.0
    return metrics


def _volumes(pairing: Pairing, spacing_mm: Sequence[float], both_empty: float) -> dict[str, float]:
    ref, pred = pairing.reference, pairing.prediction
    v_g, v_p, tp = (int(voxels.sum()) for voxels in (ref.voxels, pred.voxels, pairing.overlaps.voxels))
    reference, prediction = size_of(v_g, spacing_mm), size_of(v_p, spacing_mm)
    sized = size_unit(spacing_mm).column
    return {
        "n_reference": len(ref),
        "n_prediction": len(pred),
        sized("reference"): reference,
        sized("prediction"): prediction,
        "dice": formulas.dice(tp, v_p, v_g).value if v_g + v_p else both_empty,
        "iou": formulas.iou(tp, v_p, v_g).value,
        "rve": formulas.relative_volume_error(v_p, v_g).value,
        sized("volume_error"): prediction - reference,
        sized("absolute_volume_error"): abs(prediction - reference),
        "lesion_count_error": abs(len(pred) - len(ref)),
    }


def _recognition(pairing: Pairing, spacing_mm: Sequence[float], both_empty: float) -> dict[str, float]:
    detection, iou = pairing.detection, pairing.match.iou
    n_reference, n_prediction = len(detection.detected), len(detection.false_positive)
    found = int(detection.detected.sum())
    missed, false_positives = n_reference - found, int(detection.false_positive.sum())
    tp = len(iou)
    fp, fn = n_prediction - tp, n_reference - tp
    rq = formulas.recognition_quality(tp, fp, fn).value
    sq_matched = formulas.segmentation_quality(iou.sum(), tp).value
    # panoptica's convention: 0 where lesions exist and none is matched
    sq = sq_matched if tp else rq
    return {
        "missed": missed,
        "false_positives": false_positives,
        size_unit(spacing_mm).column("false_positive"): size_of(
            int(pairing.prediction.voxels[detection.false_positive].sum()), spacing_mm
        ),
        "detection_rate": formulas.sensitivity(found, n_reference).value,
        "lesion_f1": formulas.lesion_f1(found, missed, false_positives).value
        if n_reference + n_prediction
        else both_empty,
        # the product, since `panoptic_quality` differs from it by rounding
        "pq": sq * rq,
        "sq": sq,
        "rq": rq,
        "tp": tp,
        "fp": fp,
        "fn": fn,
        "sq_matched": sq_matched,
    }


def _surfaces(pairing: Pairing, spacing_mm: Sequence[float], nsd_mm: float) -> tuple[dict[str, float], np.ndarray]:
    """The distances of the whole masks, and the masd of each matched pair, shape (tp,)."""
    if not len(pairing.reference) or not len(pairing.prediction):
        return dict.fromkeys(("assd", "masd", "hd95", "nsd", "lesion_masd"), math.nan), np.empty(0)
    ref, pred = (surfaces.extract_surface(i, spacing_mm) for i in (pairing.reference, pairing.prediction))
    forward, backward = surfaces.distances(ref, pred), surfaces.distances(pred, ref)
    pairs = pairing.match.reference, pairing.match.prediction
    own, to_pred, to_ref = (ref, pred), forward, backward
    if any(side.ids is not None for side in (pairing.reference, pairing.prediction)):
        own = [surfaces.extract_surface(i, spacing_mm, of_each=True) for i in (pairing.reference, pairing.prediction)]
        to_pred, to_ref = surfaces.distances(*own), surfaces.distances(*own[::-1])
    lesion_masd = surfaces.masd_of_pairs(*own, to_pred, to_ref, pairs)
    return {
        "assd": surfaces.assd(forward.mm, backward.mm),
        "masd": surfaces.masd(forward.mm, backward.mm),
        "hd95": surfaces.hd95(forward.mm, backward.mm),
        "nsd": surfaces.nsd(forward.mm, backward.mm, nsd_mm),
        "lesion_masd": float(np.average(lesion_masd)) if len(lesion_masd) else math.nan,
    }, lesion_masd
