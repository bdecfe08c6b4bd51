"""Thresholds that follow the predicted values: quantiles of their logits, open at both ends."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nnunetv2_sizepenalty.curves.calibration import CalibrationCounts, step_logits

# Rungs an octave of the predicted volume, octaves around the reference's volume, octaves of an extension.
_RUNGS, _OCTAVES, _MORE = 4, 5, 2
# No two neighbours are further apart in the logit.
_WIDEST = 0.5
# The logits between which float32 probabilities are neither 0 nor 1.
_LOWEST, _HIGHEST = -87.0, 16.6


@dataclass(frozen=True)
class LogitLadder:
    """Rungs at which the volume above the threshold, of all cases together, is the reference's times 2^(rung / 4).

    Around the reference's volume they lie dense, then one an octave up to the threshold that nothing is above; to low
    thresholds they go on where a choice lies at the end.

    Attributes:
        above: voxels of all cases at or above each step of the logit, decreasing, shape (steps,).
        reference: lesion voxels of all references, more than 0.
        largest: the rung at the lowest threshold.
    """

    above: tuple[int, ...]
    reference: int
    largest: int = _RUNGS * _OCTAVES

    @classmethod
    def of(cls, cases: Sequence[CalibrationCounts]) -> "LogitLadder":
        """Builds the ladder of one class from the histograms of its cases."""
        voxels = sum(case.positives + case.negatives for case in cases)
        return cls(tuple(np.cumsum(voxels[::-1])[::-1].tolist()), int(sum(case.positives.sum() for case in cases)))

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The rungs' thresholds, and more where two are far apart; increasing."""
        dense, less_than_a_voxel = -_RUNGS * _OCTAVES, -_RUNGS * (math.floor(math.log2(self.reference)) + 1)
        rungs = [*range(dense, self.largest + 1), *range(dense, less_than_a_voxel - 1, -_RUNGS), less_than_a_voxel]
        logits = sorted({self._logit(rung) for rung in rungs})
        filled = logits[:1]
        for low, high in itertools.pairwise(logits):
            n = math.ceil((high - low) / _WIDEST)
            filled += [low + (high - low) * i / n for i in range(1, n + 1)]
        return tuple(1 / (1 + math.exp(-x)) for x in filled)

    @property
    def holds_all_voxels(self) -> bool:
        """Whether all values but those below the histogram are above the lowest threshold."""
        return self.reference * 2 ** (self.largest / _RUNGS) >= self.above[0]

    def extended(self) -> "LogitLadder":
        """Returns a ladder with more rungs at low thresholds; itself where that adds none."""
        wider = replace(self, largest=self.largest + _RUNGS * _MORE)
        return self if wider.thresholds == self.thresholds else wider

    def _logit(self, rung: int) -> float:
        """Where the volume above is as large as the rung says: the highest such step of the histogram."""
        voxels, logits = self.reference * 2 ** (rung / _RUNGS), step_logits()
        step = int(np.searchsorted(-np.asarray(self.above), -voxels, side="right")) - 1
        if step >= 0:
            # a rung of less than a voxel is the first threshold that nothing is above
            step = min(step + (voxels < 1), len(logits) - 1)
            return min(float(logits[step]), _HIGHEST)
        # More than all voxels: values below the histogram, which one rung after the other goes down to.
        beyond = math.ceil(_RUNGS * math.log2(voxels / self.above[0]))
        lowest = _LOWEST if self.above[0] > self.above[1] else float(logits[0])
        return max(float(logits[0]) - _WIDEST * beyond, lowest)
