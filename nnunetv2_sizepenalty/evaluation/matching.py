"""Which predicted lesion belongs to which reference lesion: overlaps, detection, one-to-one matching."""

from dataclasses import dataclass, replace

import numpy as np

from nnunetv2_sizepenalty.evaluation import formulas
from nnunetv2_sizepenalty.evaluation.protocols import Rule


@dataclass(frozen=True)
class Overlaps:
    """Every pair of a reference and a predicted lesion with a common voxel, ordered by (prediction, reference).

    reference, prediction: lesion numbers from 1, shape (pairs,). voxels: common voxels, shape (pairs,).
    reference_voxels, prediction_voxels: sizes of all lesions, shape (n_reference,) and (n_prediction,).
    """

    reference: np.ndarray
    prediction: np.ndarray
    voxels: np.ndarray
    reference_voxels: np.ndarray
    prediction_voxels: np.ndarray

    @property
    def iou(self) -> np.ndarray:
        """Intersection over union of each pair, shape (pairs,)."""
        return formulas.iou(self.voxels, *self._sizes).value

    @property
    def dice(self) -> np.ndarray:
        """Dice of each pair, shape (pairs,)."""
        return formulas.dice(self.voxels, *self._sizes).value

    @property
    def _sizes(self) -> tuple[np.ndarray, np.ndarray]:
        """Voxels of the predicted and of the reference lesion of each pair."""
        return self.prediction_voxels[self.prediction - 1], self.reference_voxels[self.reference - 1]

    def of_kept(self, kept: np.ndarray) -> "Overlaps":
        """Returns the pairs whose predicted lesion is kept, boolean, shape (n_prediction,); numbers stay."""
        pairs = kept[self.prediction - 1]
        return replace(
            self, reference=self.reference[pairs], prediction=self.prediction[pairs], voxels=self.voxels[pairs]
        )


@dataclass(frozen=True)
class Detection:
    """detected: which reference lesions are, shape (n_reference,); false_positive: shape (n_prediction,)."""

    detected: np.ndarray
    false_positive: np.ndarray


@dataclass(frozen=True)
class Match:
    """One-to-one pairs in the order of the reference lesions' numbers, and each pair's IoU; shapes (tp,)."""

    reference: np.ndarray
    prediction: np.ndarray
    iou: np.ndarray


def find_overlaps(
    reference: np.ndarray, prediction: np.ndarray, reference_voxels: np.ndarray, prediction_voxels: np.ndarray
) -> Overlaps:
    """The overlaps of two lists (or arrays) of the same voxels' labels, 0 being background, lesions 1 to n.

    Voxels that are background in one of the two need not be in the lists.
    """
    reference, prediction = np.ravel(reference), np.ravel(prediction)
    both = np.flatnonzero((reference != 0) & (prediction != 0))
    stride = len(reference_voxels) + 1
    code = prediction[both].astype(np.int64) * stride + reference[both]
    pairs, voxels = np.unique(code, return_counts=True)
    return Overlaps(pairs % stride, pairs // stride, voxels, reference_voxels, prediction_voxels)


def _passes(overlaps: Overlaps, rule: Rule) -> np.ndarray:
    if rule.metric == "overlap":
        return np.ones(len(overlaps.voxels), dtype=bool)
    return getattr(overlaps, rule.metric) >= rule.threshold


def detect(overlaps: Overlaps, rule: Rule, match: Match, kept: np.ndarray | None = None) -> Detection:
    """A reference lesion is detected when a predicted lesion meets `rule` with it; a predicted lesion that meets it
    with none is a false positive. Many predicted lesions may detect one, and one may detect many ("matched": the
    one-to-one pairs of `match` alone count). Predicted lesions that are not `kept` (boolean, shape (n_prediction,)) are
    as if not there."""
    kept = np.ones(len(overlaps.prediction_voxels), dtype=bool) if kept is None else kept
    detected = np.zeros(len(overlaps.reference_voxels), dtype=bool)
    false_positive = kept.copy()
    if rule.metric == "matched":
        pairs = match.reference, match.prediction
    else:
        passes = _passes(overlaps, rule) & kept[overlaps.prediction - 1]
        pairs = overlaps.reference[passes], overlaps.prediction[passes]
    detected[pairs[0] - 1] = True
    false_positive[pairs[1] - 1] = False
    return Detection(detected, false_positive)


def match_one_to_one(overlaps: Overlaps, rule: Rule) -> Match:
    """Greedy matching: pairs from the best score down, each lesion once (panoptica 2.1.7's NaiveThresholdMatching).

    Equal scores go by the predicted lesion's number, then the reference lesion's.
    """
    score, iou = getattr(overlaps, rule.metric), overlaps.iou
    chosen: list[int] = []
    taken_reference, taken_prediction = set(), set()
    for pair in np.argsort(-score, kind="stable"):
        r, p = int(overlaps.reference[pair]), int(overlaps.prediction[pair])
        if score[pair] < rule.threshold:
            break
        if r in taken_reference or p in taken_prediction:
            continue
        taken_reference.add(r)
        taken_prediction.add(p)
        chosen.append(int(pair))
    chosen.sort(key=lambda pair: overlaps.reference[pair])
    return Match(overlaps.reference[chosen], overlaps.prediction[chosen], iou[chosen])


def match_best_sum(overlaps: Overlaps, rule: Rule) -> Match:
    """Matches one to one so that the sum of the scores is largest (panoptica 2.1.7's MaxBipartiteMatching)."""
    from scipy.optimize import linear_sum_assignment

    score = getattr(overlaps, rule.metric)
    cost = np.full((len(overlaps.reference_voxels), len(overlaps.prediction_voxels)), 1 + 1e-6)
    pair = np.full(cost.shape, -1)
    passes = np.flatnonzero(score >= rule.threshold)
    place = overlaps.reference[passes] - 1, overlaps.prediction[passes] - 1
    cost[place], pair[place] = 1 - score[passes], passes
    chosen = pair[linear_sum_assignment(cost)]
    chosen = chosen[chosen >= 0]
    return Match(overlaps.reference[chosen], overlaps.prediction[chosen], overlaps.iou[chosen])
