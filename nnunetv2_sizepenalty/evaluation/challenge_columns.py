"""The columns that a challenge's protocol appends to cases.csv, as its organisers' code computes them.

The rules are stated anew from the public code that docs/protocols.md names, with its commits.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from nnunetv2_sizepenalty.evaluation import formulas, lesionwise
from nnunetv2_sizepenalty.evaluation.lesion_surfaces import directed_distances, hd95, nsd
from nnunetv2_sizepenalty.evaluation.matching import Pairing
from nnunetv2_sizepenalty.lesions import voxel_volume_mm3

# BraTS 2026's distance for a missed or an invented lesion, and its least Dice of a found one.
PENALTY_2026_MM = 373.0
FOUND_FROM_DICE = 0.2


class Appended(NamedTuple):
    """Names of columns, and the function of a case's lesions, its spacing in mm and the protocol's size limit in mm^3
    (`lesionwise_above_mm3`) that gives them."""

    names: tuple[str, ...]
    score: Callable[[Pairing, Sequence[float], float | None], dict[str, float]]


def _brats_2024(pairing: Pairing, spacing_mm: Sequence[float], above_mm3: float) -> dict[str, float]:
    """BraTS-METS 2024: the lesion-wise columns of 2023, with the NSD at 0.5 and 1 mm and the F1 of the lesions."""
    columns = lesionwise.score(pairing, spacing_mm, above_mm3)
    ref, pred, touching = pairing.reference, pairing.prediction, pairing.touching
    tp, fp, fn = (columns[f"lesionwise_{name}"] for name in ("tp", "fp", "fn"))
    sums = np.zeros(2)
    for lesion in np.unique(touching.reference):
        if ref.voxels[lesion - 1] * voxel_volume_mm3(spacing_mm) <= above_mm3:
            continue
        chosen = np.zeros(len(pred) + 1, dtype=bool)
        chosen[touching.prediction[touching.reference == lesion]] = True
        pair = directed_distances(ref.labels == lesion, chosen[pred.labels], spacing_mm)
        # their guard against a division by 0: the NSD of a lesion found exactly is 0.999999995
        sums += [nsd(*pair, tolerance, guard=1e-8) for tolerance in (0.5, 1.0)]
    n = tp + fp + fn
    return columns | {
        "lesionwise_nsd_05": sums[0] / n if n else 1.0,
        "lesionwise_nsd_10": sums[1] / n if n else 1.0,
        "lesionwise_f1": formulas.lesion_f1(tp, fn, fp).value if n else 1.0,
    }


def _matched(pairing: Pairing, spacing_mm: Sequence[float]) -> list[tuple[float, float, float]]:
    """Dice, NSD within the least spacing, and HD95 in mm of each one-to-one pair."""
    ref, pred, match, overlaps = pairing.reference, pairing.prediction, pairing.match, pairing.overlaps
    of_pair = {pair: number for number, pair in enumerate(zip(overlaps.reference, overlaps.prediction, strict=True))}
    scores = []
    for r, p in zip(match.reference, match.prediction, strict=True):
        pair = directed_distances(ref.labels == r, pred.labels == p, spacing_mm)
        scores.append((float(overlaps.dice[of_pair[r, p]]), nsd(*pair, min(spacing_mm)), hd95(*pair)))
    return scores


def _brats_2025(pairing: Pairing, spacing_mm: Sequence[float], _: float | None) -> dict[str, float]:
    """BraTS-METS 2025: panoptica's SQ by Dice and by NSD, and its RQ. Distances are in voxels: none is handed on."""
    tp, n_reference, n_prediction = len(pairing.match.iou), len(pairing.reference), len(pairing.prediction)
    scores = _matched(pairing, (1.0,) * len(spacing_mm))
    # theirs: 1 where there is no lesion, 0 where none is matched
    nothing = 0.0 if n_reference + n_prediction else 1.0
    return {
        "lesionwise_dice": float(np.average([dice for dice, *_ in scores])) if tp else nothing,
        "lesionwise_nsd": float(np.average([share for _, share, _ in scores])) if tp else nothing,
        "lesionwise_f1": formulas.recognition_quality(tp, n_prediction - tp, n_reference - tp).value,
    }


def _brats_2026(pairing: Pairing, spacing_mm: Sequence[float], least_mm3: float) -> dict[str, float]:
    """BraTS-METS 2026: means over the reference lesions of at least 27 mm^3 and all false positives; counts of those
    lesions and of the smaller ones, a lesion being found by a match of Dice 0.2."""
    ref, match = pairing.reference, pairing.match
    scores = _matched(pairing, spacing_mm)
    false_positives = len(pairing.prediction) - len(match.iou)
    large = ref.voxels * voxel_volume_mm3(spacing_mm) >= least_mm3
    found = np.zeros(len(ref), dtype=bool)
    found[match.reference - 1] = [dice >= FOUND_FROM_DICE for dice, *_ in scores]
    of_large = [score for score, lesion in zip(scores, match.reference, strict=True) if large[lesion - 1]]
    zeros = [(0.0, 0.0, PENALTY_2026_MM)] * (int(large.sum()) - len(of_large) + false_positives)
    means = (
        [float(np.mean(column)) for column in zip(*of_large, *zeros, strict=True)] if large.any() else [math.nan] * 3
    )
    return {
        **dict(zip(("lesionwise_dice", "lesionwise_nsd", "lesionwise_hd95"), means, strict=True)),
        **_counts("lesionwise", found[large], false_positives),
        **_counts("small", found[~large], false_positives),
    }


def _counts(prefix: str, found: np.ndarray, false_positives: int) -> dict[str, float]:
    """tp, fp, fn and F1; undefined where there are no such lesions."""
    if not len(found):
        return dict.fromkeys((f"{prefix}_{name}" for name in ("tp", "fp", "fn", "f1")), math.nan)
    tp, fn = int(found.sum()), int((~found).sum())
    f1 = formulas.lesion_f1(tp, fn, false_positives).value
    return {f"{prefix}_tp": tp, f"{prefix}_fp": false_positives, f"{prefix}_fn": fn, f"{prefix}_f1": f1}


def _wmh(pairing: Pairing, _: Sequence[float], __: float | None) -> dict[str, float]:
    """WMH challenge 2017: the recall of the reference lesions and the precision of the predicted ones, each 1 where
    there are no such lesions, and their harmonic mean."""
    detection = pairing.detection
    recall = formulas.sensitivity(int(detection.detected.sum()), len(detection.detected)).value
    precision = formulas.precision(len(detection.false_positive), int(detection.false_positive.sum())).value
    recall, precision = (1.0 if math.isnan(share) else share for share in (recall, precision))
    total = precision + recall
    return {
        "wmh_recall": recall,
        "wmh_precision": precision,
        "wmh_f1": 2 * (precision * recall) / total if total else 0.0,
    }


COLUMNS: dict[str, Appended] = {
    "brats-2023": Appended(lesionwise.COLUMNS, lesionwise.score),
    "brats-2024": Appended(
        (*lesionwise.COLUMNS, "lesionwise_nsd_05", "lesionwise_nsd_10", "lesionwise_f1"), _brats_2024
    ),
    "brats-2025": Appended(("lesionwise_dice", "lesionwise_nsd", "lesionwise_f1"), _brats_2025),
    "brats-2026": Appended(
        (
            *("lesionwise_dice", "lesionwise_nsd", "lesionwise_hd95"),
            *("lesionwise_tp", "lesionwise_fp", "lesionwise_fn", "lesionwise_f1"),
            *("small_tp", "small_fp", "small_fn", "small_f1"),
        ),
        _brats_2026,
    ),
    "wmh": Appended(("wmh_recall", "wmh_precision", "wmh_f1"), _wmh),
}
