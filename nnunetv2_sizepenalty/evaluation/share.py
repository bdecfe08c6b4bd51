"""The share rule: a predicted component detects a lesion when enough of what it predicts around it is lesion.

Any overlap rewards painting everything: one component meets every lesion and is no false positive. Here each voxel of a
component c goes to the nearest lesion among those that c touches (distance in mm between voxel centres; of two at one
distance to the larger lesion, then to the lower number), which cuts c into parts c_k. c detects L_k where
|c_k ∩ L_k| >= share * |c_k without the background within one voxel of L_k|. A lesion is detected if any component
detects it; a component that detects none is one false positive.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nnunetv2_sizepenalty.evaluation.matching import Detection, Overlaps, find_overlaps
from nnunetv2_sizepenalty.evaluation.protocols import SHARE
from nnunetv2_sizepenalty.lesions import component_voxels
from nnunetv2_sizepenalty.lesions.boxes import values_inside
from nnunetv2_sizepenalty.lesions.nearest import NearestLesion

DEFAULT_SHARE = SHARE.threshold


@dataclass(frozen=True)
class Shares:
    """Every pair of a lesion and a component that touches it: their `overlaps`, and `predicted`, the voxels of the
    component's part of that lesion without the rim, shape (pairs,)."""

    overlaps: Overlaps
    predicted: np.ndarray

    @property
    def share(self) -> np.ndarray:
        """How much of what is predicted around the lesion is lesion, above 0 and up to 1, shape (pairs,)."""
        return self.overlaps.voxels / self.predicted

    def detect(self, share: float = DEFAULT_SHARE, kept: np.ndarray | None = None) -> Detection:
        """Applies the rule; components that are not `kept` (boolean, shape (n_prediction,)) are as if not there."""
        o = self.overlaps
        detected = np.zeros(len(o.reference_voxels), dtype=bool)
        kept = np.ones(len(o.prediction_voxels), dtype=bool) if kept is None else kept
        false_positive = kept.copy()
        passes = (self.share >= share) & kept[o.prediction - 1]
        detected[o.reference[passes] - 1] = True
        false_positive[o.prediction[passes] - 1] = False
        return Detection(detected, false_positive)


class ShareCounter:
    """Counts `Shares` of one case for one prediction after the other.

    The predictions must be nested, each component lying in one of the prediction before (a mask cut at increasing
    thresholds): the lesions that a component touches only become fewer, so that a voxel needs a new nearest lesion only
    where its component no longer touches the one that it had.

    Args:
        reference_labels: 0 and the lesions 1 to n, 2D or 3D.
        spacing_mm: of the voxels, one per axis.
    """

    def __init__(self, reference_labels: np.ndarray, spacing_mm: Sequence[float]):
        labels = np.asarray(reference_labels)
        self._lesion_at = np.argwhere(labels)
        self._lesion = labels[tuple(self._lesion_at.T)].astype(np.int64)
        self._voxels = component_voxels(self._lesion, int(labels.max(initial=0)))
        self._rim_at, self._rim_lesion = _rims(labels, self._lesion_at, self._lesion)
        self._nearest = labels.astype(np.int32)  # 0: not known
        self._finder = NearestLesion(labels, spacing_mm) if len(self._voxels) > 1 else None

    def count(self, prediction_labels: np.ndarray, n: int, origin: Sequence[int] | None = None) -> Shares:
        """Counts one prediction.

        Args:
            prediction_labels: 0 and the components 1 to n, of the reference's shape or of a box of it.
            origin: the box's first voxel, the volume's when None.
        """
        origin = np.zeros(prediction_labels.ndim, dtype=int) if origin is None else np.asarray(origin)
        predicted_voxels = component_voxels(prediction_labels, n)
        hit, inside = values_inside(prediction_labels, self._lesion_at - origin)
        overlaps = find_overlaps(self._lesion[inside], hit, self._voxels, predicted_voxels)
        if not len(overlaps.voxels):
            return Shares(overlaps, overlaps.voxels)
        pairs = _Pairs(overlaps)
        # A component that touches one lesion is that lesion's part as a whole.
        voxels = np.where(pairs.alone, predicted_voxels[overlaps.prediction - 1], 0)
        component, inside = values_inside(prediction_labels, self._rim_at - origin)
        lesion, at = self._rim_lesion[inside], self._rim_at[inside]
        pair = pairs.find(component, lesion)
        forgiven = pair >= 0
        if not pairs.alone.all():
            box = tuple(slice(o, o + s) for o, s in zip(origin, prediction_labels.shape, strict=True))
            voxels += self._count_parts(prediction_labels, self._nearest[box], pairs, origin)
            forgiven &= pairs.alone[pair] | (self._nearest[tuple(at.T)] == lesion)
        voxels -= np.bincount(pair[forgiven], minlength=len(voxels))
        return Shares(overlaps, voxels)

    def _count_parts(self, labels: np.ndarray, nearest: np.ndarray, pairs: "_Pairs", origin: np.ndarray) -> np.ndarray:
        """Voxels of each pair whose component touches several lesions, 0 for other pairs; brings `nearest` (a view of
        the box) up to date."""
        several = pairs.touches_several[labels]
        component, lesion = labels[several], nearest[several]
        pair = pairs.find_of_several(component, lesion)
        unknown = np.flatnonzero(pair < 0)
        if len(unknown):
            unknown = unknown[np.argsort(component[unknown], kind="stable")]
            flat = np.flatnonzero(several)[unknown]
            where = np.column_stack(np.unravel_index(flat, labels.shape)) + origin
            components, starts = np.unique(component[unknown], return_index=True)
            for c, start, end in zip(components, starts, [*starts[1:], len(unknown)], strict=True):
                lesion[unknown[start:end]] = self._finder.among(pairs.lesions_of(c), where[start:end])
            pair[unknown] = pairs.find_of_several(component[unknown], lesion[unknown])
            nearest[several] = lesion
        return np.bincount(pair, minlength=len(pairs.alone))


class _Pairs:
    """Looks up the number of a pair; `alone` marks the pairs whose component touches no other lesion."""

    def __init__(self, overlaps: Overlaps):
        self._prediction, self._reference = overlaps.prediction, overlaps.reference
        pairs, components = np.arange(len(overlaps.prediction)), len(overlaps.prediction_voxels) + 1
        touched = np.bincount(overlaps.prediction, minlength=components)
        self.touches_several = touched > 1
        self.alone = touched[overlaps.prediction] == 1
        self._only = np.full(components, -1)  # the pair of a component that has one
        self._only[overlaps.prediction[self.alone]] = pairs[self.alone]
        # The others' pairs: a row per component, from 1, a column per lesion.
        self._row = np.where(self.touches_several, np.cumsum(self.touches_several), 0)
        self._table = np.full((self.touches_several.sum() + 1, len(overlaps.reference_voxels) + 1), -1)
        several = ~self.alone
        self._table[self._row[overlaps.prediction[several]], overlaps.reference[several]] = pairs[several]

    def find(self, component: np.ndarray, lesion: np.ndarray) -> np.ndarray:
        """The number of each pair, -1 where the component doesn't touch the lesion."""
        only = self._only[component]
        fits = (only >= 0) & (self._reference[only] == lesion)
        return np.where(fits, only, self.find_of_several(component, lesion))

    def find_of_several(self, component: np.ndarray, lesion: np.ndarray) -> np.ndarray:
        """The same, -1 for a component that touches fewer than two lesions."""
        return self._table[self._row[component], lesion]

    def lesions_of(self, component: int) -> np.ndarray:
        first, last = np.searchsorted(self._prediction, [component, component + 1])
        return self._reference[first:last]


def _rims(labels: np.ndarray, where: np.ndarray, lesion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Background voxels within one voxel (26 neighbours, 8 in 2D) of a lesion: their indices and that lesion. A voxel
    stands there once for each of several lesions."""
    steps = np.array([step for step in itertools.product((-1, 0, 1), repeat=labels.ndim) if any(step)])
    at = (where[:, None] + steps).reshape(-1, labels.ndim)
    lesion = np.repeat(lesion, len(steps))
    value, inside = values_inside(labels, at)
    at, lesion = at[inside][value == 0], lesion[inside][value == 0]
    flat = np.ravel_multi_index(tuple(at.T), labels.shape)
    stride = int(labels.max(initial=0)) + 1
    code = np.unique(flat * stride + lesion)
    return np.column_stack(np.unravel_index(code // stride, labels.shape)), code % stride


def detect_by_share(
    reference_labels: np.ndarray,
    prediction_labels: np.ndarray,
    spacing_mm: Sequence[float],
    share: float = DEFAULT_SHARE,
) -> Detection:
    """Applies the share rule to one pair of label maps (0, and lesions or components from 1, one shape)."""
    counter = ShareCounter(reference_labels, spacing_mm)
    return counter.count(prediction_labels, int(prediction_labels.max(initial=0))).detect(share)
