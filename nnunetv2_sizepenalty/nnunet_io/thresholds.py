"""Thresholds on nnU-Net's probabilities: its own, a dense grid of them, and the cut itself."""

import numpy as np

# nnU-Net's own cut
DEFAULT_THRESHOLD = 0.5


def logit(probability: float | np.ndarray) -> float | np.ndarray:
    """log(p / (1 - p)), in float64."""
    return np.log(probability) - np.log1p(-np.asarray(probability, dtype=np.float64))


def dense_thresholds(smallest: float = 1e-5, n: int = 93) -> tuple[float, ...]:
    """`n` thresholds (odd, so that 0.5 is one) evenly spaced in the logit, a quarter apart by default."""
    half = n // 2
    steps = float(logit(smallest)) * np.arange(half, 0, -1) / half
    below = 1 / (1 + np.exp(-steps))
    return (*below.tolist(), DEFAULT_THRESHOLD, *(1 - below[::-1]).tolist())


def above(probability: np.ndarray, threshold: float) -> np.ndarray:
    """Makes the mask of a threshold: strictly above, compared in float32 as nnU-Net compares with 0.5."""
    return probability > np.float32(threshold)
