"""When a lesion counts as detected at a cut: the rules of `--detection`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation.challenge_detection import detect_by_msseg, detect_by_picai
from nnunetv2_sizepenalty.evaluation.matching import Detection, Overlaps, find_overlaps
from nnunetv2_sizepenalty.evaluation.share import DEFAULT_SHARE, ShareCounter
from nnunetv2_sizepenalty.lesions import component_voxels

_CHALLENGES = {"picai": detect_by_picai, "msseg": detect_by_msseg}
RULES = ("share:0.1", "overlap", *_CHALLENGES)


@dataclass(frozen=True)
class DetectionRule:
    """The share rule (evaluation/share.py), or for sensitivity analyses any overlap, PI-CAI's or MSSEG-2016's rule."""

    name: str = "share"
    share: float = DEFAULT_SHARE

    @classmethod
    def parse(cls, text: str) -> "DetectionRule":
        """Reads share, share:0.1 (above 0 and up to 1), overlap, picai or msseg; UserError for anything else."""
        name, colon, number = text.partition(":")
        try:
            if name == "share" and (not colon or 0 < float(number) <= 1):
                return cls(name, float(number) if colon else DEFAULT_SHARE)
        except ValueError:
            pass
        if text in ("overlap", *_CHALLENGES):
            return cls(text)
        raise UserError(f"--detection {text}: it is one of {', '.join(RULES)}")

    def __str__(self) -> str:
        return f"{self.name}:{self.share:g}" if self.name == "share" else self.name


@dataclass(frozen=True)
class Found:
    """One prediction beside the reference: overlaps, and `detect`, which applies the rule to the components that are
    kept (boolean, shape (n_prediction,)); others are as if not there."""

    overlaps: Overlaps
    detect: Callable[[np.ndarray], Detection]


class Detector:
    """Applies a rule to one case at increasing thresholds.

    Args:
        reference_labels: 0 and the lesions 1 to n, (z, y, x).
        spacing_mm: (z, y, x).
    """

    def __init__(self, rule: DetectionRule, reference_labels: np.ndarray, spacing_mm: Sequence[float]):
        self._rule, self._labels, self._spacing_mm = rule, reference_labels, spacing_mm
        self._where = np.argwhere(reference_labels)
        self._lesion = reference_labels[tuple(self._where.T)]
        self._voxels = component_voxels(self._lesion, int(reference_labels.max(initial=0)))
        self._shares = ShareCounter(reference_labels, spacing_mm) if rule.name == "share" else None

    def find(self, labels: np.ndarray, n: int, origin: Sequence[int]) -> Found:
        """Compares one prediction with the reference.

        Args:
            labels: 0 and the components 1 to n, of a box of the volume that lies in that of the call before.
            origin: the box's first voxel.
        """
        if self._shares:
            shares = self._shares.count(labels, n, origin)
            return Found(shares.overlaps, lambda kept: shares.detect(self._rule.share, kept))
        at = self._where - np.asarray(origin)
        inside = ((at >= 0) & (at < labels.shape)).all(axis=1)
        hit = labels[tuple(at[inside].T)]
        overlaps = find_overlaps(self._lesion[inside], hit, self._voxels, component_voxels(labels, n))
        if self._rule.name == "overlap":
            return Found(overlaps, lambda kept: _by_overlap(overlaps, kept))
        box = tuple(slice(o, o + s) for o, s in zip(origin, labels.shape, strict=True))
        return Found(overlaps, lambda kept: self._by_challenge(labels, box, kept))

    def _by_challenge(self, labels: np.ndarray, box: tuple[slice, ...], kept: np.ndarray) -> Detection:
        numbers = np.concatenate([[0], np.cumsum(kept) * kept])
        whole = np.zeros(self._labels.shape, dtype=np.int64)
        whole[box] = numbers[labels]
        found = _CHALLENGES[self._rule.name](self._labels, whole, self._spacing_mm)
        false_positive = np.zeros(len(kept), dtype=bool)
        false_positive[kept] = found.false_positive
        return Detection(found.detected, false_positive)


def only_kept(overlaps: Overlaps, kept: np.ndarray) -> Overlaps:
    """Keeps the pairs whose predicted lesion is kept."""
    pairs = kept[overlaps.prediction - 1]
    names = ("reference", "prediction", "voxels")
    return replace(overlaps, **{name: getattr(overlaps, name)[pairs] for name in names})


def _by_overlap(overlaps: Overlaps, kept: np.ndarray) -> Detection:
    pairs = only_kept(overlaps, kept)
    detected, false_positive = np.zeros(len(overlaps.reference_voxels), dtype=bool), kept.copy()
    detected[pairs.reference - 1] = True
    false_positive[pairs.prediction - 1] = False
    return Detection(detected, false_positive)
