"""Each of the recipe's augmentations on a phantom: for the tests, and as a page of pictures.

`python tests/augmentation_page.py docs/augmentation.png` draws the page.
"""

import sys
from functools import cache
from pathlib import Path

import numpy as np
import torch
from batchgeneratorsv2.transforms.base.basic_transform import BasicTransform
from batchgeneratorsv2.transforms.spatial.mirroring import MirrorTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from matplotlib.figure import Figure

from nnunetv2_sizepenalty.mismatch import CHANNELS, RecomputeMismatch, mismatch_of, scale_to_unit
from nnunetv2_sizepenalty.phantom import PhantomCase, generate_case
from nnunetv2_sizepenalty.trainers.augmentation import (
    BackgroundCutout,
    PerChannel,
    elastic_transforms,
    intensity_transforms,
)
from nnunetv2_sizepenalty.trainers.loaders import seed_everything

SHAPE = (24, 96, 96)
# draws in which all three axes are flipped, and the slice that is shown has a cutout
SEEDS = {"flips": 26, "background cutout": 45}
IMAGES = (CHANNELS["adc"], CHANNELS["dwi"])


@cache
def _case() -> PhantomCase:
    return generate_case(7, 3, SHAPE)


def phantom_patch() -> dict[str, torch.Tensor]:
    """A phantom as the loader hands it on: image (ADC, DWI, mismatch; z, y, x), segmentation (1; z, y, x)."""
    case = _case()
    adc, dwi = scale_to_unit(case.adc), scale_to_unit(case.dwi)
    image = torch.from_numpy(np.stack([adc, dwi, mismatch_of(adc, dwi)]))
    return {"image": image, "segmentation": torch.from_numpy(case.mask.astype(np.int16))[None]}


def always(name: str, channels=IMAGES) -> BasicTransform:
    """One of the augmentations, applied whenever it is called."""
    if name == "elastic deformation":
        (deformation,) = elastic_transforms(SHAPE, dummy_2d=False)
        deformation.p_elastic_deform = 1
        return deformation
    if name == "elastic deformation in the plane":
        to_2d, deformation, to_3d = elastic_transforms(SHAPE, dummy_2d=True)
        deformation.p_elastic_deform = 1
        return ComposeTransforms([to_2d, deformation, to_3d])
    if name == "background cutout":
        return BackgroundCutout(SHAPE)
    if name == "flips":
        return MirrorTransform((0, 1, 2))
    kinds = ("intensity scale", "intensity shift", "noise", "gamma")
    return PerChannel(intensity_transforms().transforms[kinds.index(name)].transform, channels)


NAMES = (
    "elastic deformation",
    "elastic deformation in the plane",
    "background cutout",
    "intensity scale",
    "intensity shift",
    "noise",
    "gamma",
    "flips",
)


def augmented(name: str, channels=IMAGES) -> dict[str, torch.Tensor]:
    """`phantom_patch` after one augmentation, the mismatch recomputed."""
    seed_everything((SEEDS.get(name, 0),))
    patch = phantom_patch()
    return RecomputeMismatch()(**always(name, channels)(**patch))


def draw_page(path: Path) -> None:
    """A row an augmentation, in the slice with most lesion, which is outlined."""
    original = phantom_patch()
    slice_ = int(original["segmentation"][0].sum((1, 2)).argmax())
    figure = Figure(figsize=(10, 2.3 * (len(NAMES) + 1)), layout="constrained")
    for axes_of_row, name in zip(figure.subplots(len(NAMES) + 1, 4), ("original", *NAMES), strict=True):
        patch = original if name == "original" else augmented(name)
        shown = SHAPE[0] - 1 - slice_ if name == "flips" else slice_
        image, lesion = patch["image"][:, shown].numpy(), patch["segmentation"][0, shown].numpy()
        change = image[1] - original["image"][1, slice_].numpy()
        pictures = (*zip(("ADC", "DWI", "mismatch"), image, strict=True), ("change of DWI", change))
        for axes, (title, picture) in zip(axes_of_row, pictures, strict=True):
            limits = (-0.5, 0.5) if title.startswith("change") else (0, 1)
            axes.imshow(picture, cmap="RdBu_r" if limits[0] else "gray", vmin=limits[0], vmax=limits[1], origin="lower")
            if lesion.any():
                axes.contour(lesion, [0.5], colors="tab:red" if not limits[0] else "black", linewidths=0.8)
            axes.set_title(title, fontsize=8)
            axes.set_xticks([])
            axes.set_yticks([])
        axes_of_row[0].set_ylabel(name.replace(" in ", "\nin "), fontsize=9)
    figure.savefig(path, dpi=60)


if __name__ == "__main__":
    draw_page(Path(sys.argv[1]))
