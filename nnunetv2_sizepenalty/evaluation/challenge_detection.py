"""When a lesion counts as detected in two challenges, for sensitivity analyses beside the share rule."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from nnunetv2_sizepenalty.evaluation.matching import Detection, Overlaps, find_overlaps
from nnunetv2_sizepenalty.lesions import component_voxels


def detect_by_picai(
    reference_labels: np.ndarray, prediction_labels: np.ndarray, spacing_mm: Sequence[float], iou: float = 0.1
) -> Detection:
    """Applies PI-CAI's rule: one component per lesion, of an IoU of at least 0.1.

    Pairs are assigned so that the sum of 1 + IoU over them is greatest. A component that is left over is no false
    positive where its IoU with any lesion reaches 0.1 (github.com/DIAGNijmegen/picai_eval, src/picai_eval/eval.py at
    1295177a, with its defaults). `spacing_mm` is not used.
    """
    overlaps = _overlaps(reference_labels, prediction_labels)
    enough = overlaps.iou >= iou
    reference, prediction = overlaps.reference[enough] - 1, overlaps.prediction[enough] - 1
    detected = np.zeros(len(overlaps.reference_voxels), dtype=bool)
    false_positive = np.ones(len(overlaps.prediction_voxels), dtype=bool)
    false_positive[prediction] = False
    rows, row = np.unique(reference, return_inverse=True)
    columns, column = np.unique(prediction, return_inverse=True)
    score = np.zeros((len(rows), len(columns)))
    score[row, column] = 1 + overlaps.iou[enough]
    chosen = linear_sum_assignment(score, maximize=True)
    detected[rows[chosen[0][score[chosen] > 0]]] = True
    return Detection(detected, false_positive)


def detect_by_msseg(
    reference_labels: np.ndarray,
    prediction_labels: np.ndarray,
    spacing_mm: Sequence[float],
    alpha: float = 0.1,
    beta: float = 0.7,
    gamma: float = 0.65,
) -> Detection:
    """Applies MSSEG-2016's rule (Commowick et al., Scientific Reports 8:13650, 2018).

    A lesion is detected when more than `alpha` of it is covered and, of the components that overlap it, the largest
    overlaps first until `gamma` of the overlap is reached, none has more than `beta` of its voxels outside of all
    lesions. A component is a false positive unless the same holds with lesions and components exchanged.

    Comparisons are those of the organisers' code (github.com/Inria-Empenn/Anima-Public, Analyzer.cpp at 2eb5bc7d, with
    the options of SegPerfApp.cpp); its loop also ends after as many components as there are lesions and one more, which
    the article doesn't have, nor does this. Equal overlaps go by their number. The challenge also removes lesions and
    components up to 3 mm^3 and uses face connectivity: that is the caller's. `spacing_mm` is not used.
    """
    o = _overlaps(reference_labels, prediction_labels)
    lesions, components = (o.reference, o.reference_voxels), (o.prediction, o.prediction_voxels)
    detected = _msseg_true(lesions, components, o.voxels, alpha, beta, gamma)
    return Detection(detected, ~_msseg_true(components, lesions, o.voxels, alpha, beta, gamma))


def _msseg_true(
    ours: tuple[np.ndarray, np.ndarray],
    theirs: tuple[np.ndarray, np.ndarray],
    voxels: np.ndarray,
    alpha: float,
    beta: float,
    gamma: float,
) -> np.ndarray:
    """Which of our objects are covered well enough by theirs; each side: numbers of the pairs, and sizes."""
    (our, our_size), (their, their_size) = ours, theirs
    covered = np.bincount(our, weights=voxels, minlength=len(our_size) + 1)[1:]
    inside = np.bincount(their, weights=voxels, minlength=len(their_size) + 1)[1:]
    outside = (their_size - inside) / their_size
    true = covered / our_size > alpha
    order = np.lexsort((their, -voxels, our))
    our, their, voxels = our[order], their[order], voxels[order]
    before = np.cumsum(voxels) - voxels
    before = before - before[np.searchsorted(our, our)]
    looked_at = before < gamma * covered[our - 1]
    true[our[looked_at & (outside[their - 1] > beta)] - 1] = False
    return true


def _overlaps(reference_labels: np.ndarray, prediction_labels: np.ndarray) -> Overlaps:
    sizes = [component_voxels(x, int(x.max(initial=0))) for x in (reference_labels, prediction_labels)]
    return find_overlaps(reference_labels, prediction_labels, *sizes)
