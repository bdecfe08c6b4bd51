"""Masks as nnU-Net would have preprocessed them, with its own sampling of foreground locations."""

from pathlib import Path

import numpy as np
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from scipy import ndimage

LABELS = LabelManager({"background": 0, "lesion": 1}, None)


def blobs(seed=0, shape=(12, 40, 40), values=(1,), threshold=0.6):
    """Lesions of many sizes, whose voxels have labels at random of `values`."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1.5)
    labels = (noise > threshold * noise.max()).astype(np.int16)
    return labels * np.random.default_rng(seed).choice(values, size=shape)


def preprocess_masks(folder: Path, masks: dict[str, np.ndarray], label_manager: LabelManager = LABELS):
    """Writes label maps (z, y, x) beside images that nobody reads; returns nnU-Net's dataset of them."""
    folder.mkdir(exist_ok=True)
    collected = label_manager.foreground_regions if label_manager.has_regions else label_manager.foreground_labels
    collected = list(collected)
    if label_manager.has_ignore_label:
        collected.append([-1, *label_manager.all_labels])
    for case, labels in masks.items():
        segmentation = labels[None].astype(np.int16)
        nnUNetDatasetBlosc2.save_case(
            np.zeros((1, 1, 1, 1), np.float32),
            segmentation,
            {"class_locations": DefaultPreprocessor._sample_foreground_locations(segmentation, collected)},
            str(folder / case),
            chunks=(1, 1, 1, 1),
            blocks=(1, 1, 1, 1),
            chunks_seg=segmentation.shape,
            blocks_seg=segmentation.shape,
        )
    return nnUNetDatasetBlosc2(str(folder))
