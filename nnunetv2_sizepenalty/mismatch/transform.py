"""The mismatch as the last transform of training and validation."""

import torch
from batchgeneratorsv2.transforms.base.basic_transform import ImageOnlyTransform

from nnunetv2_sizepenalty.mismatch.formula import CHANNELS, mismatch_of


class RecomputeMismatch(ImageOnlyTransform):
    """Replaces the mismatch channel by the formula on the augmented ADC and DWI (thesis, section 4.4).

    Applied last, so that the channel is never augmented itself. The image (C, *spatial) is cloned first: without
    augmentation it may be a view of the loader's read-only memory map.
    """

    def __init__(
        self,
        adc_channel: int = CHANNELS["adc"],
        dwi_channel: int = CHANNELS["dwi"],
        mismatch_channel: int = CHANNELS["mismatch"],
    ):
        super().__init__()
        self.adc_channel = adc_channel
        self.dwi_channel = dwi_channel
        self.mismatch_channel = mismatch_channel

    def _apply_to_image(self, img: torch.Tensor, **params) -> torch.Tensor:
        img = img.clone()
        img[self.mismatch_channel] = mismatch_of(img[self.adc_channel], img[self.dwi_channel])
        return img
