"""How far nnU-Net's float16 accumulation can move a logit, voxel by voxel."""

from dataclasses import dataclass

import numpy as np
import torch
from acvl_utils.cropping_and_padding.padding import pad_nd_image
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.inference.sliding_window_prediction import compute_gaussian


def ulp16(value: np.ndarray) -> np.ndarray:
    """Distance between float16 numbers at that magnitude, in float64."""
    return np.spacing(np.abs(np.asarray(value)).astype(np.float16)).astype(np.float64)


@dataclass
class Accumulation:
    """Logits of one model in float64, and how far float16 accumulation may be off; shapes (channels, z, y, x)."""

    logits: np.ndarray
    error: np.ndarray
    weight_error: np.ndarray  # relative, of the sum of the tiles' weights


def accumulate(predictor: nnUNetPredictor, image: torch.Tensor) -> Accumulation:
    """The sliding window of `predictor` on a preprocessed image (channels, z, y, x), with its rounding bounded.

    Each addition to a float16 sum rounds by at most half a unit in the last place of the new sum.
    """
    patch = tuple(predictor.configuration_manager.patch_size)
    gaussian = compute_gaussian(patch, sigma_scale=1.0 / 8, value_scaling_factor=10, device=torch.device("cpu"))
    gaussian = gaussian.numpy().astype(np.float64)
    data, unpad = pad_nd_image(image, patch, "constant", {"value": 0}, True, None)
    shape = (predictor.label_manager.num_segmentation_heads, *data.shape[1:])
    total, error = np.zeros(shape), np.zeros(shape)
    weight, weight_error = np.zeros(shape[1:]), np.zeros(shape[1:])
    predictor.network.eval()
    for tile in predictor._internal_get_sliding_window_slicers(data.shape[1:]):
        with torch.inference_mode():
            logits = predictor._internal_maybe_mirror_and_predict(data[tile][None])[0].double().numpy()
        total[tile] += logits * gaussian
        error[tile] += ulp16(total[tile]) / 2 + 1e-6 * np.abs(total[tile])  # mirrors are averaged in float32
        weight[tile[1:]] += gaussian
        weight_error[tile[1:]] += ulp16(weight[tile[1:]]) / 2
    inside = (slice(None), *unpad[1:])
    logits, error, weight_error = total / weight, error / weight, np.broadcast_to(weight_error / weight, shape)
    error = error + ulp16(logits) / 2  # the division
    return Accumulation(logits[inside], error[inside], weight_error[inside])


def ensemble(folds: list[Accumulation]) -> Accumulation:
    """The mean of the folds' logits, which nnU-Net sums in float16."""
    total, error = np.zeros_like(folds[0].logits), np.zeros_like(folds[0].logits)
    for fold in folds:
        total = total + fold.logits
        error = error + fold.error + ulp16(total) / 2
    n = len(folds)
    return Accumulation(total / n, error / n + ulp16(total / n) / 2, folds[0].weight_error)


def may_differ(before: Accumulation, after: Accumulation, channel: int | None, threshold: float) -> np.ndarray:
    """Where a cut of saved probabilities and a cut of a model with the threshold baked in may differ by rounding.

    Args:
        before, after: of the model as it was trained, and baked.
        channel: of the region; None for a softmax over two classes, cut on the difference of its logits.
    """
    shift = float(np.log(threshold) - np.log1p(-threshold))
    error = before.error + after.error
    value = before.logits[1] - before.logits[0] if channel is None else before.logits[channel]
    error = error.sum(axis=0) if channel is None else error[channel]
    saved = 4 * 2.0**-24 * max(threshold, 1 - threshold) / (threshold * (1 - threshold))  # float32 probabilities
    return np.abs(value - shift) <= error + abs(shift) * before.weight_error[0] + saved
