"""The rules of detection, applied to a prediction or to a sweep of thresholds."""

from collections.abc import Sequence
from functools import cached_property

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
        """Applies the rule to one prediction.

        Args:
            prediction: the components, on the reference's grid.
            overlaps, touching, match: of both, as in `pairing.Pairing`.
        """
        if self._rule.metric == "share":
            # Mostly enough of each whole component is lesion; its part around the lesion can only have more.
            if (overlaps.voxels / overlaps.prediction_voxels[overlaps.prediction - 1] >= self._rule.threshold).all():
                return detect(overlaps, Rule(), match)
            return self._shares.count(prediction.labels, len(prediction)).detect(self._rule.threshold)
        if self._rule.metric in CHALLENGES:
            rule = CHALLENGES[self._rule.metric]
            return rule(self._reference.labels, prediction.labels, self._spacing_mm)
        return detect(touching if self._rule.metric == "overlap" else overlaps, self._rule, match)
