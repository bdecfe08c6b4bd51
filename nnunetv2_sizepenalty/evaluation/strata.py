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
        if 0 < i < len(bins.edges):
            names.append(f"< {bins.edges[i]:g} {bins.unit}")
    return names


def in_stratum(name: str, sizes: np.ndarray, bins: SizeBins) -> np.ndarray:
    """Tells which sizes belong to a stratum, shape as `sizes`. A size of 0 belongs to "all" and "none" alone."""
    sizes = np.asarray(sizes, dtype=float)
    if name == ALL:
        return np.ones(sizes.shape, dtype=bool)
    if name == NONE:
        return sizes == 0
    if name in bins.names:
        return (sizes > 0) & (bins.index(sizes) == bins.names.index(name))
    return (sizes > 0) & (sizes < float(name.removeprefix("< ").removesuffix(f" {bins.unit}")))
