"""Thresholds that are as good as the best: those within one standard error of it."""

import numpy as np

from nnunetv2_sizepenalty.evaluation.formulas import Ratio
from nnunetv2_sizepenalty.operating_point.grid import Cut
from nnunetv2_sizepenalty.operating_point.objective import Objective
from nnunetv2_sizepenalty.operating_point.scores import TIE, Scores


def plateau(scores: Scores, cut: Cut, objective: Objective) -> tuple[float, float]:
    """Returns the ends of the run of thresholds around the chosen one, at its smallest size, that are within one
    standard error of the difference to it.

    The difference is paired by case and its error is the jackknife's: for a mean over cases sd / sqrt(n) of the cases'
    differences, and the same for ratios of sums. One case has no error: the run holds ties alone.
    """
    row, column = scores.grid.position(cut)
    top, bottom = (part[:, :, column] for part in scores.fractions[objective.score])
    value = objective.sign * Ratio(top.sum(axis=0), bottom.sum(axis=0)).value
    without = objective.sign * Ratio(top.sum(axis=0) - top, bottom.sum(axis=0) - bottom).value
    loss, losses = value[row] - value, without[:, [row]] - without
    defined = np.isfinite(losses)
    n = defined.sum(axis=0)
    mean = Ratio(np.where(defined, losses, 0).sum(axis=0), n).value
    squares = np.where(defined, (losses - mean) ** 2, 0).sum(axis=0)
    error = np.sqrt(squares * Ratio(np.maximum(n - 1, 0), n).value)
    near = (loss <= np.nan_to_num(error) + TIE) & np.isfinite(scores.eligible(objective)[:, column])
    first = last = row
    while first > 0 and near[first - 1]:
        first -= 1
    while last + 1 < len(near) and near[last + 1]:
        last += 1
    thresholds = scores.grid.counted_thresholds
    return thresholds[first], thresholds[last]
