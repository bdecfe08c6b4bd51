"""How many lesions a case has and how large they are, after the SOOP cohort's percentiles."""

import numpy as np
from scipy.stats import norm

from nnunetv2_sizepenalty.phantom.parameters import LesionSizes


def _quantile(table: tuple[tuple[float, float], ...], u: float) -> float:
    """Inverse of the distribution that the (percentile, value) rows give, linear in the logarithm between them."""
    percentiles, values = np.asarray(table).T
    return float(np.exp(np.interp(100 * u, percentiles, np.log(values))))


def draw_volumes_ml(rng: np.random.Generator, sizes: LesionSizes) -> np.ndarray:
    """Volumes of one case's lesions in mL, the largest first, float64 of shape (n,), n >= 1."""
    correlation = sizes.number_volume_correlation
    a, b = rng.standard_normal(2)
    total = _quantile(sizes.total_ml, norm.cdf(a))
    n = round(_quantile(sizes.number, norm.cdf(correlation * a + np.sqrt(1 - correlation**2) * b)))
    n = int(np.clip(n, 1, min(sizes.most, max(1, total / sizes.smallest_ml / 2))))
    if n == 1:
        return np.array([total])
    intercept, slope, floor = sizes.share_logit
    sd, sd_per_lesion = sizes.share_logit_sd
    logit = max(floor, intercept - slope * np.log(n)) + (sd + sd_per_lesion / n) * rng.standard_normal()
    share = max(1 / (1 + np.exp(-logit)), 1 / n)
    parts = np.exp(sizes.split_log_sd * rng.standard_normal(n - 1))
    others = np.maximum(total * (1 - share) * parts / parts.sum(), sizes.smallest_ml)
    volumes = np.append(others, max(total - others.sum(), sizes.smallest_ml))
    return np.sort(volumes)[::-1]
