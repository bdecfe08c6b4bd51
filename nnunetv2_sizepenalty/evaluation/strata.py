"""The sizes that tables are made by: cases by their reference volume, lesions by their own."""

import numpy as np

from nnunetv2_sizepenalty.lesions import SizeBins

ALL, NONE = "all", "none"


def stratum_names(bins: SizeBins, *, of_cases: bool) -> list[str]:
    """Names of the strata in their order, such as all, none (cases only), < 1 mL, 1-5 mL, < 5 mL, >= 5 mL."""
    names = [ALL, NONE] if of_cases else [ALL]
    for i, name in enumerate(bins.names):
        names.append(name)
        # "Below the first edge" is the first bin already, and above the last edge nothing ends.
        if 0 < i < len(bins.edges_ml):
            names.append(f"< {bins.edges_ml[i]:g} mL")
    return names


def in_stratum(name: str, volume_ml: np.ndarray, bins: SizeBins) -> np.ndarray:
    """Which volumes belong to a stratum, shape as `volume_ml`. A volume of 0 belongs to "all" and "none" alone."""
    volume_ml = np.asarray(volume_ml, dtype=float)
    if name == ALL:
        return np.ones(volume_ml.shape, dtype=bool)
    if name == NONE:
        return volume_ml == 0
    if name in bins.names:
        return (volume_ml > 0) & (bins.index(volume_ml) == bins.names.index(name))
    return (volume_ml > 0) & (volume_ml < float(name.removeprefix("< ").removesuffix(" mL")))
