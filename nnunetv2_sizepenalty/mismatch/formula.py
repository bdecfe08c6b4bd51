"""Scaling of one volume and the mismatch of two (thesis, section 4.2), for NumPy arrays and torch tensors alike."""

from typing import TypeVar

import numpy as np

Volume = TypeVar("Volume")  # np.ndarray or torch.Tensor

# Role -> index among the input channels that conversion writes.
CHANNELS = {"adc": 0, "dwi": 1, "mismatch": 2}

PERCENTILES = (1.0, 99.0)


def mismatch_of(adc: Volume, dwi: Volume) -> Volume:
    """DWI (1 - clip(ADC, 0, 1)) voxel by voxel: high where DWI is bright and ADC is low, as in acute ischemia.

    Args:
        adc, dwi: arrays or tensors of one shape, scaled by `scale_to_unit` (and perhaps augmented since).
    """
    return dwi * (1 - adc.clip(0, 1))


def scale_to_unit(volume: np.ndarray) -> np.ndarray:
    """Clips a whole volume, background included, to its 1st and 99th percentile and scales it to [0, 1].

    Returns:
        float32 in the volume's shape. The unit (1e-3 or 1e-6 mm^2/s, mm^2/s) falls out, negative values are clipped.

    Raises:
        ValueError: the two percentiles coincide, so there is nothing to scale.
    """
    # float64 throughout: 1e-9 mm^2/s differences must not vanish before the scaling.
    low, high = np.percentile(volume.astype(np.float64, copy=False), PERCENTILES)
    if not low < high:
        raise ValueError(f"1st and 99th percentile are both {low:g}")
    return ((np.clip(volume, low, high) - low) / (high - low)).astype(np.float32)
