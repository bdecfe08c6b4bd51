"""What nnU-Net's pseudo Dice of the validation patches doesn't say, or says only with NaN."""

import math
from collections.abc import Mapping, MutableSequence, Sequence
from typing import Any

import numpy as np

from nnunetv2_sizepenalty.trainers.processes import of_all_processes


def all_predicted_empty(val_outputs: Sequence[Mapping[str, Any]]) -> bool:
    """Tells whether nothing is predicted in the validation patches of all processes while some hold foreground.

    Args:
        val_outputs: what nnUNetTrainer.validation_step returned in this process, of every step.
    """
    counts = [[np.sum(output[key]) for key in ("tp_hard", "fp_hard", "fn_hard")] for output in val_outputs]
    found, false, missed = np.sum(of_all_processes([np.sum(counts, axis=0, dtype=float)]), axis=0)
    return bool(found + false == 0 and missed > 0)


def keep_moving_average(averages: MutableSequence[float]) -> bool:
    """Replaces an undefined last value by the one before, or 0; returns whether it did.

    A NaN would stay in the moving average for good and freeze checkpoint_best.
    """
    if not math.isnan(averages[-1]):
        return False
    averages[-1] = averages[-2] if len(averages) > 1 else 0.0
    return True
