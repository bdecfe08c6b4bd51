"""The formulas of the evaluation, each once, for the counts of a case, of many cases together, or arrays of counts.

Every formula is a `Ratio` of sums: `value` divides it, and its parts add up over cases first where a number is pooled
or resampled. Volumes are in voxels or in mL, alike in one formula.
"""

import math
from typing import NamedTuple, TypeVar

import numpy as np

Number = TypeVar("Number", float, np.ndarray)


class Ratio(NamedTuple):
    """A numerator and a denominator, numbers or arrays of one shape.

    >>> Ratio(1, 4).value, Ratio(0, 0).value
    (0.25, nan)
    >>> Ratio(np.array([1, 0]), np.array([4, 0])).value.tolist()
    [0.25, nan]
    """

    numerator: Number
    denominator: Number

    @property
    def value(self) -> Number:
        """The quotient, NaN (undefined) where the denominator is 0: a float, or float64 in the arrays' shape."""
        if np.ndim(self.numerator) == np.ndim(self.denominator) == 0:
            return float(self.numerator / self.denominator) if self.denominator else math.nan
        numerator, denominator = np.broadcast_arrays(*(np.asarray(part, dtype=float) for part in self))
        return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator != 0)


def dice(overlap: Number, prediction: Number, reference: Number) -> Ratio:
    """Computes 2 TP / (V_p + V_g) (Dice 1945, doi:10.2307/1932409), undefined for two empty masks.

    >>> dice(2, 3, 5).value
    0.5
    """
    return Ratio(2 * overlap, prediction + reference)


def pooled_dice(dice: Number, prediction: Number, reference: Number) -> Ratio:
    """Computes 2 TP / (V_p + V_g) from a Dice and its volumes: the Dice of all cases' voxels once the parts are summed.

    Two empty masks add nothing, whatever their Dice is taken for.

    >>> pooled_dice(np.array([0.5, np.nan]), np.array([3.0, 0.0]), np.array([5.0, 0.0])).numerator.tolist()
    [4.0, 0.0]
    """
    both = prediction + reference
    return Ratio(np.where(both > 0, dice, 0.0) * both, both)


def volume_weighted_dice(dice: Number, reference: Number) -> Ratio:
    """Computes V_g Dice / V_g: the mean Dice of cases, weighted by their reference volume, once the parts are summed.

    >>> volume_weighted_dice(np.array([0.5, np.nan]), np.array([4.0, 0.0])).numerator.tolist()
    [2.0, 0.0]
    """
    return Ratio(np.where(reference > 0, dice, 0.0) * reference, reference)


def iou(overlap: Number, prediction: Number, reference: Number) -> Ratio:
    """Computes intersection over union, TP / (V_p + V_g - TP) (Jaccard), undefined for two empty masks.

    >>> iou(2, 3, 3).value
    0.5
    """
    return Ratio(overlap, prediction + reference - overlap)


def relative_volume_error(prediction: Number, reference: Number) -> Ratio:
    """Computes RVE, abs(V_p - V_g) / V_g (thesis, section 4.5), undefined for an empty reference.

    >>> relative_volume_error(3, 4).value
    0.25
    """
    return Ratio(abs(prediction - reference), reference)


def sensitivity(detected: Number, lesions: Number) -> Ratio:
    """Computes the detected share of the reference lesions (recall), undefined without any.

    >>> sensitivity(3, 4).value
    0.75
    """
    return Ratio(detected, lesions)


def precision(predicted: Number, false_positives: Number) -> Ratio:
    """Computes the share of the predicted lesions that are no false positives, undefined without any.

    >>> precision(4, 1).value
    0.75
    """
    return Ratio(predicted - false_positives, predicted)


def detection_precision(detected: Number, false_positives: Number) -> Ratio:
    """Computes detected / (detected + false positives), undefined without either.

    A lesion that many components find counts once: its pieces don't make up for false positives elsewhere.

    >>> detection_precision(3, 1).value
    0.75
    """
    return Ratio(detected, detected + false_positives)


def interpolated_area(recall: np.ndarray, precision: np.ndarray) -> float:
    """Computes the area under the interpolated precision: at each recall the best precision there or at a higher one.

    Args:
        recall, precision: of each threshold, in any order, shape (thresholds,); an undefined precision is 0.

    >>> interpolated_area(np.array([0.5, 0.25, 1.0]), np.array([0.5, 0.25, 0.25]))
    0.375
    """
    order = np.argsort(recall, kind="stable")
    best = np.maximum.accumulate(np.nan_to_num(precision)[order][::-1])[::-1]
    return float(np.sum(np.diff(recall[order], prepend=0.0) * best))


def lesion_f1(detected: Number, missed: Number, false_positives: Number) -> Ratio:
    """Computes 2 detected / (2 detected + missed + false positives) (ISLES 2022), undefined where no lesion is.

    >>> lesion_f1(1, 1, 1).value
    0.5
    """
    return Ratio(2 * detected, 2 * detected + missed + false_positives)


def recognition_quality(tp: Number, fp: Number, fn: Number) -> Ratio:
    """Computes RQ, tp / (tp + fp / 2 + fn / 2), of lesions matched one to one (Kirillov et al. 2019, arXiv:1801.00868).

    0 where lesions exist and none is matched, undefined where none exists: panoptica's convention.

    >>> recognition_quality(1, 1, 1).value, recognition_quality(0, 1, 0).value
    (0.5, 0.0)
    """
    return Ratio(tp, tp + 0.5 * fp + 0.5 * fn)


def segmentation_quality(iou_sum: Number, tp: Number) -> Ratio:
    """Computes SQ, the mean IoU of the matched pairs (Kirillov et al. 2019), undefined where none is matched.

    >>> segmentation_quality(1.5, 2).value
    0.75
    """
    return Ratio(iou_sum, tp)


def panoptic_quality(iou_sum: Number, tp: Number, fp: Number, fn: Number) -> Ratio:
    """Computes PQ, the matched pairs' IoU / (tp + fp / 2 + fn / 2): SQ times RQ (Kirillov et al. 2019).

    >>> panoptic_quality(1.5, 2, 1, 1).value
    0.5
    """
    return Ratio(iou_sum, recognition_quality(tp, fp, fn).denominator)
