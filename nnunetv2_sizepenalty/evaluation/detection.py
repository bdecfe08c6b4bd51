"""The rules of detection, applied to a prediction or to a sweep of thresholds."""

from collections.abc import Callable, Sequence
from functools import cached_property, partial

import numpy as np

from nnunetv2_sizepenalty.evaluation.challenge_detection import detect_by_msseg, detect_by_picai
from nnunetv2_sizepenalty.evaluation.instances import Instances
from nnunetv2_sizepenalty.evaluation.matching import Detection, Match, Overlaps, detect
from nnunetv2_sizepenalty.evaluation.protocols import Rule
from nnunetv2_sizepenalty.evaluation.share import ShareCounter

CHALLENGES = {"picai": detect_by_picai, "msseg": detect_by_msseg}


class Detector:
    """Says which lesions of one reference are detected, by one rule.

    The share rule takes one prediction, or nested ones from the largest on (`ShareCounter`).

    Args:
        reference: the lesions.
        spacing_mm: of the voxels, one per axis.
    """

    def __init__(self, reference: Instances, rule: Rule, spacing_mm: Sequence[float]):
        self._reference, self._rule, self._spacing_mm = reference, rule, spacing_mm

    @cached_property
    def _shares(self) -> ShareCounter:
        return ShareCounter(self._reference.labels, self._spacing_mm)

    def detect(self, prediction: Instances, overlaps: Overlaps, touching: Overlaps, match: Match) -> Detection:
        """Applies the rule to all components of one prediction.

        Args:
            prediction: the components, on the reference's grid.
            overlaps, touching, match: of both, as in `pairing.Pairing`.
        """
        if self._rule.metric == "overlap":
            return detect(touching, self._rule, match)
        return self.of_kept(prediction.labels, overlaps)(np.ones(len(prediction), dtype=bool), match)

    def of_kept(
        self, prediction_labels: np.ndarray, overlaps: Overlaps, origin: Sequence[int] | None = None
    ) -> Callable[[np.ndarray, Match], Detection]:
        """Prepares one prediction for several filters.

        Args:
            prediction_labels: 0 and the components 1 to n, on the reference's grid or a box of it.
            overlaps: of the lesions and all components.
            origin: the box's first voxel, the grid's when None.

        Returns:
            A function of which components are kept, boolean, shape (n,), the others being as if not there, and of the
            one-to-one match of those.
        """
        rule = self._rule
        if rule.metric == "share":
            # Mostly enough of each whole component is lesion; its part around the lesion can only have more.
            if (overlaps.voxels / overlaps.prediction_voxels[overlaps.prediction - 1] >= rule.threshold).all():
                return lambda kept, match: detect(overlaps, Rule(), match, kept)
            shares = self._shares.count(prediction_labels, len(overlaps.prediction_voxels), origin)
            return lambda kept, match: shares.detect(rule.threshold, kept)
        if rule.metric in CHALLENGES:
            return partial(self._by_challenge, prediction_labels, origin)
        return lambda kept, match: detect(overlaps, rule, match, kept)

    def _by_challenge(
        self, labels: np.ndarray, origin: Sequence[int] | None, kept: np.ndarray, match: Match
    ) -> Detection:
        whole = np.zeros(self._reference.labels.shape, dtype=np.int64)
        origin = (0,) * whole.ndim if origin is None else origin
        box = tuple(slice(start, start + n) for start, n in zip(origin, labels.shape, strict=True))
        whole[box] = np.concatenate([[0], np.cumsum(kept) * kept])[labels]
        found = CHALLENGES[self._rule.metric](self._reference.labels, whole, self._spacing_mm)
        false_positive = np.zeros(len(kept), dtype=bool)
        false_positive[kept] = found.false_positive
        return Detection(found.detected, false_positive)
