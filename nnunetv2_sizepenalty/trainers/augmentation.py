"""The thesis's augmentation (section 4.4), which names the transforms and gives no numbers: those are ours."""

from collections.abc import Sequence
from math import ceil

import numpy as np
import torch
from batchgeneratorsv2.transforms.base.basic_transform import BasicTransform, ImageOnlyTransform
from batchgeneratorsv2.transforms.intensity.brightness import (
    BrightnessAdditiveTransform,
    MultiplicativeBrightnessTransform,
)
from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform
from batchgeneratorsv2.transforms.intensity.gaussian_noise import GaussianNoiseTransform
from batchgeneratorsv2.transforms.noise.blank_rectangle import BlankRectangleTransform
from batchgeneratorsv2.transforms.spatial.mirroring import MirrorTransform
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from batchgeneratorsv2.transforms.utils.pseudo2d import Convert2DTo3DTransform, Convert3DTo2DTransform
from batchgeneratorsv2.transforms.utils.random import RandomTransform

ELASTIC_PROBABILITY = 0.2
# width of the bumps, as a share of the patch's side
ELASTIC_SCALE = (0.1, 0.25)
# the largest shift, as a share of that width: at half of it no voxel passes another one
ELASTIC_SHIFT = 0.5
CUTOUT_PROBABILITY = 0.2
# sides of a cutout, as shares of the patch's
CUTOUT_SIDE = (1 / 8, 1 / 4)
CUTOUTS = (1, 3)
SCALE_PROBABILITY, SCALE = 0.2, (0.9, 1.1)
# shift and noise count in standard deviations of the channel in the patch
SHIFT_PROBABILITY, SHIFT_SIGMA = 0.2, 0.1
NOISE_PROBABILITY, NOISE_SIGMA = 0.2, (0.0, 0.1)
GAMMA_PROBABILITY, GAMMA = 0.2, (0.7, 1.5)


def elastic_shift(image: torch.Tensor, patch_size: Sequence[int], dim: int, deformation_scale: float) -> float:
    """The largest shift along an axis in voxels, drawn in proportion to the width of the bumps."""
    return np.random.uniform(0, ELASTIC_SHIFT) * deformation_scale * patch_size[dim]


def elastic_margin(patch_size: Sequence[int], dummy_2d: bool) -> list[int]:
    """Voxels that a patch must be cut larger at either end, so that a deformed one holds image alone."""
    margin = [ceil(ELASTIC_SHIFT * ELASTIC_SCALE[1] * side) for side in patch_size]
    return [0, *margin[1:]] if dummy_2d else margin


class BackgroundCutout(BlankRectangleTransform):
    """Boxes filled with their own mean, at one place in all channels, never over a labelled voxel.

    A flat box is a cutout whatever the normalisation: 0 is air in a channel scaled to [0, 1] and the brain's mean in a
    z-scored one. Boxes that would cover a label other than background and padding are left out.

    Args:
        patch_size: of the images that will come.
    """

    def __init__(self, patch_size: Sequence[int]):
        smallest, largest = CUTOUT_SIDE
        super().__init__(
            rectangle_size=tuple(
                (max(1, round(smallest * side)), max(1, round(largest * side)) + 1) for side in patch_size
            ),
            rectangle_value=torch.mean,
            num_rectangles=(CUTOUTS[0], CUTOUTS[1] + 1),
        )

    def get_parameters(self, image: torch.Tensor, segmentation: torch.Tensor, **data) -> dict:
        labelled = segmentation[0] > 0
        (boxes,) = super().get_parameters(image[:1])["rectangles"]
        beside = [box for box in boxes if not labelled[tuple(map(slice, *box))].any()]
        return {"apply_channel": [True] * len(image), "rectangles": [beside] * len(image)}

    def _apply_to_image(self, img: torch.Tensor, **params) -> torch.Tensor:
        # the loader's memory map may be read-only
        return super()._apply_to_image(img.clone(), **params)


class PerChannel(ImageOnlyTransform):
    """Applies an image transform to each channel on its own, in units of the channel's standard deviation.

    So one set of numbers suits channels scaled to [0, 1], z-scored ones, and those that nobody normalised. A constant
    channel, such as padding, stays as it is.

    Args:
        transform: sees images of one channel.
        channels: indices, all when None.
    """

    def __init__(self, transform: BasicTransform, channels: Sequence[int] | None = None):
        super().__init__()
        self.transform = transform
        self.channels = channels

    def _apply_to_image(self, img: torch.Tensor, **params) -> torch.Tensor:
        img = img.clone()
        for channel in range(len(img)) if self.channels is None else self.channels:
            unit = img[channel].std()
            if unit > 0:
                img[channel] = self.transform(image=img[channel : channel + 1] / unit)["image"][0] * unit
        return img


def intensity_transforms() -> ComposeTransforms:
    """Scale, shift, noise and gamma of one channel whose standard deviation is 1."""
    return ComposeTransforms(
        [
            RandomTransform(MultiplicativeBrightnessTransform(SCALE, synchronize_channels=False), SCALE_PROBABILITY),
            RandomTransform(
                BrightnessAdditiveTransform(0.0, SHIFT_SIGMA, synchronize_channels=False), SHIFT_PROBABILITY
            ),
            RandomTransform(GaussianNoiseTransform(NOISE_SIGMA), NOISE_PROBABILITY),
            # keeps the lowest and highest value of the patch
            RandomTransform(
                GammaTransform(GAMMA, p_invert_image=0, synchronize_channels=False, p_per_channel=1, p_retain_stats=0),
                GAMMA_PROBABILITY,
            ),
        ]
    )


def elastic_transforms(patch_size: Sequence[int], dummy_2d: bool) -> list[BasicTransform]:
    """Elastic deformation and the crop to `patch_size`; with `dummy_2d` one deformation in the plane of all slices."""
    deformation = SpatialTransform(
        tuple(patch_size[1:] if dummy_2d else patch_size),
        patch_center_dist_from_border=0,
        random_crop=False,
        p_elastic_deform=ELASTIC_PROBABILITY,
        elastic_deform_scale=ELASTIC_SCALE,
        elastic_deform_magnitude=elastic_shift,
        border_mode_seg="constant",
        padding_value_seg=-1,
    )
    return [Convert3DTo2DTransform(), deformation, Convert2DTo3DTransform()] if dummy_2d else [deformation]


def thesis_transforms(
    patch_size: Sequence[int], dummy_2d: bool, mirror_axes: Sequence[int], channels: Sequence[int] | None
) -> list[BasicTransform]:
    """The thesis's list, in its order but for the flips, which cost least at the end.

    Args:
        patch_size: voxels of the patch that the network gets.
        dummy_2d: deform in the plane alone (nnU-Net's rule for patches of thick slices).
        mirror_axes: axes that are flipped with a probability of one half each.
        channels: whose intensities change, all when None.
    """
    return [
        *elastic_transforms(patch_size, dummy_2d),
        RandomTransform(BackgroundCutout(patch_size), CUTOUT_PROBABILITY),
        PerChannel(intensity_transforms(), channels),
        MirrorTransform(tuple(mirror_axes)),
    ]


def after_augmentation(transforms: ComposeTransforms) -> list[BasicTransform]:
    """Those of nnU-Net's training transforms that are no augmentation of images, which it places behind its flips.

    Masking, labels -1, regions, the cascade's own augmentation, targets for deep supervision.
    """
    (flips,) = (n for n, transform in enumerate(transforms.transforms) if isinstance(transform, MirrorTransform))
    return list(transforms.transforms[flips + 1 :])
