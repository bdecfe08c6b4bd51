"""Sensitivity against false positives over the thresholds, and what is derived from that curve."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.evaluation import formulas
from nnunetv2_sizepenalty.evaluation.strata import ALL

CURVE_COLUMNS = (
    "label",
    "stratum",  # lesions of this size; "all", "< 1 mL", ... as in summary.LesionStratum
    "threshold",  # lesion where the probability is above it
    "lesions",
    "detected",
    "sensitivity",  # detected / lesions, NaN without lesions
    "false_positives_per_case",  # of all sizes
    "false_positives_of_size_per_case",
    "precision",  # detected / (detected + false positives), of all sizes, NaN without either
)


def make_curves(
    label: str,
    thresholds: Sequence[float],
    strata: Sequence[str],
    lesions: np.ndarray,
    detected: np.ndarray,
    false_positives: np.ndarray,
    cases: int,
) -> pd.DataFrame:
    """Makes `Froc.curves` of one label from sums over cases.

    Args:
        lesions: reference lesions of each stratum, shape (strata,).
        detected, false_positives: of each stratum at each threshold, shape (thresholds, strata).
    """
    frames = []
    everything = list(strata).index(ALL)
    all_false = false_positives[:, everything]
    for i, stratum in enumerate(strata):
        frame = {
            "label": label,
            "stratum": stratum,
            "threshold": thresholds,
            "lesions": lesions[i],
            "detected": detected[:, i],
            "sensitivity": formulas.sensitivity(detected[:, i], lesions[i]).value,
            "false_positives_per_case": all_false / cases,
            "false_positives_of_size_per_case": false_positives[:, i] / cases,
            "precision": formulas.detection_precision(detected[:, everything], all_false).value,
        }
        frames.append(pd.DataFrame(frame, columns=CURVE_COLUMNS))
    return pd.concat(frames, ignore_index=True)


def lesion_average_precision(curve: pd.DataFrame) -> float:
    """Computes the area under the interpolated precision (`formulas.interpolated_area`).

    Args:
        curve: the rows of one label and the stratum "all".

    Returns:
        0 to 1; NaN without lesions.
    """
    if not curve["lesions"].iloc[0]:
        return math.nan
    return formulas.interpolated_area(curve["sensitivity"].to_numpy(), curve["precision"].to_numpy())


def highest_sensitivity(curve: pd.DataFrame) -> float:
    """Finds the lowest threshold at which most lesions are detected: below it components grow together.

    Only what lies above is an operating point to choose; a curve is drawn dashed below.

    Args:
        curve: columns threshold and sensitivity of one label and stratum.

    Returns:
        The threshold; the lowest of all without a lesion.
    """
    best = curve["sensitivity"].max()
    return float(curve.loc[~(curve["sensitivity"] < best), "threshold"].min())


def lowest_threshold(curve: pd.DataFrame, false_positives_per_case: float) -> float:
    """Finds the lowest threshold from which on there are at most so many false positives per case; NaN without one.

    The number of false positives need not fall with the threshold (components split), hence "from which on". Thresholds
    below that of the highest sensitivity don't count.

    Args:
        curve: columns threshold, sensitivity and false_positives_per_case of one label and all sizes.
    """
    curve = curve[curve["threshold"] >= highest_sensitivity(curve)].sort_values("threshold")
    allowed = (curve["false_positives_per_case"] <= false_positives_per_case).to_numpy()
    lasting = np.logical_and.accumulate(allowed[::-1])[::-1]
    return float(curve["threshold"].to_numpy()[lasting].min()) if lasting.any() else math.nan
