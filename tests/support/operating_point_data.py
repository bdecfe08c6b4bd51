"""Labels, images and probabilities that the tests of the operating point share."""

from pathlib import Path

import numpy as np
import SimpleITK

SOFTMAX = {"labels": {"background": 0, "lesion": 1}}
REGIONS = {"labels": {"background": 0, "core": [1, 1], "rim": [2, 2]}, "regions_class_order": [1, 2]}
NESTED = {"labels": {"background": 0, "whole": [1, 2], "core": [2, 2]}, "regions_class_order": [1, 2]}
SPACING_MM = (6.0, 2.0, 2.0)


def write_image(path: Path, array: np.ndarray, spacing_mm=SPACING_MM) -> None:
    """Writes an array (z, y, x) as NIfTI."""
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing(tuple(reversed(spacing_mm)))
    path.parent.mkdir(parents=True, exist_ok=True)
    SimpleITK.WriteImage(image, str(path))


def softmax_of(probability: np.ndarray) -> np.ndarray:
    """Background and foreground, float32 (2, z, y, x)."""
    return np.stack([1 - probability, probability]).astype(np.float32)
