"""How likely a lesion is found, as a smooth function of its volume."""

import warnings

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.evaluation.metrics import unit_of

MIN_LESIONS = 10


def detection_curve(lesions: pd.DataFrame, points: int = 60) -> pd.DataFrame | None:
    """Logistic regression of detection on log volume, with the band's 95 % interval at each volume.

    Lesions of one case are not independent, so the standard errors are clustered by case.

    Args:
        lesions: reference lesions, columns `case`, `volume_ml` (`volume_px`), `detected`.
        points: how many volumes between the smallest and the largest lesion.

    Returns:
        Columns volume_ml (volume_px), rate, low, high; None where a curve says nothing: fewer than 10 lesions, all
        found, all missed, one volume, or found and missed lesions that a single volume separates.
    """
    import statsmodels.api as sm  # its import takes a second
    from statsmodels.tools.sm_exceptions import PerfectSeparationWarning

    volume = unit_of(lesions).column("volume")
    detected = lesions["detected"].to_numpy(dtype=float)
    log_volume = np.log(lesions[volume].to_numpy(dtype=float))
    if len(lesions) < MIN_LESIONS or detected.min() == detected.max() or np.ptp(log_volume) == 0:
        return None
    found, missed = log_volume[detected == 1], log_volume[detected == 0]
    if missed.max() < found.min() or found.max() < missed.min():
        return None
    cases = lesions["case"].astype("category").cat.codes.to_numpy()
    clusters = {"cov_type": "cluster", "cov_kwds": {"groups": cases}} if len(np.unique(cases)) > 1 else {}
    with warnings.catch_warnings():
        warnings.simplefilter("error", PerfectSeparationWarning)
        try:
            fit = sm.GLM(detected, sm.add_constant(log_volume), family=sm.families.Binomial()).fit(**clusters)
        except PerfectSeparationWarning:
            return None
    at = np.linspace(log_volume.min(), log_volume.max(), points)
    frame = fit.get_prediction(sm.add_constant(at)).summary_frame()
    return pd.DataFrame(
        {
            volume: np.exp(at),
            "rate": frame["mean"].to_numpy(),
            "low": frame["mean_ci_lower"].to_numpy(),
            "high": frame["mean_ci_upper"].to_numpy(),
        }
    )
