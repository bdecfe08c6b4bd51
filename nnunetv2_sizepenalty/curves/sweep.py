"""One probability at many thresholds."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from nnunetv2_sizepenalty.lesions.boxes import bounding_box
from nnunetv2_sizepenalty.nnunet_io.thresholds import above


def sweep(
    probability: np.ndarray, thresholds: Sequence[float]
) -> Iterator[tuple[float, np.ndarray, tuple[slice, ...]]]:
    """Cuts a probability at one threshold after the other.

    Args:
        probability: 2D or 3D.
        thresholds: increasing.

    Yields:
        The threshold, the boolean mask of what lies above it, in the smallest box that holds all of it, and that box,
        which is empty where nothing does.

    Raises:
        ValueError: the thresholds do not increase.

    >>> [(t, mask.tolist(), box) for t, mask, box in sweep(np.array([0.1, 0.6, 0.9]), (0.5, 0.8))]
    [(0.5, [True, True], (slice(1, 3, None),)), (0.8, [True], (slice(2, 3, None),))]
    """
    if any(low >= high for low, high in pairwise(thresholds)):
        raise ValueError(f"thresholds have to increase, got {thresholds}")
    origin = np.zeros(probability.ndim, dtype=int)
    for threshold in thresholds:
        mask = above(probability, threshold)
        # Masks of higher thresholds lie inside those of lower ones, so that the box only shrinks.
        inner = bounding_box(mask)
        probability, mask = probability[inner], mask[inner]
        origin += [part.start for part in inner]
        yield threshold, mask, tuple(slice(int(o), int(o) + n) for o, n in zip(origin, mask.shape, strict=True))
