"""`_shifted`: a forced patch holds its voxel or lesion anywhere, not at its centre.

nnU-Net centres a forced patch on its voxel, so that a network may learn that the small one is in the middle
(MIC-DKFZ/nnUNet#2045). Which voxel it is stays nnU-Net's draw; here the patch is drawn from those that hold it.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any, Literal

import numpy as np
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader

Held = Literal["voxel", "lesion"]


def place_forced_patches(loader: nnUNetDataLoader, held: Held | None) -> nnUNetDataLoader:
    """Makes nnU-Net's loader place its forced patches anywhere around what they hold; as it does where that is None.

    Args:
        loader: changed in place, and returned.
        held: the voxel that was drawn; or all stored voxels of its lesion too, for a dataset that gives each lesion as
            a class of its own (`_lesionuniform`).
    """
    if held is not None:
        loader.get_bbox = ShiftedPlaces(loader, held)
    return loader


class ShiftedPlaces:
    """Stands for a loader's `get_bbox`: draws uniformly, axis by axis, from the patches that hold what they must.

    Counted is the patch that the network gets: the middle of what is cut for rotation. It stays within the image where
    the image is larger, and holds the whole image where it is not. A lesion is held whole along an axis where it fits,
    else its voxel.
    """

    def __init__(self, loader: nnUNetDataLoader, held: Held):
        # of copies: the loader's own `get_bbox` will be this object
        self._nnunets = copy(loader)
        self._one_voxel = copy(loader)
        self._one_voxel.patch_size = (1,) * len(loader.patch_size)
        self._one_voxel.need_to_pad = np.zeros(len(loader.patch_size), dtype=int)
        self._held = held

    def __call__(
        self, data_shape: Sequence[int], force_fg: bool, class_locations: Mapping[Any, Any] | None, **options: Any
    ) -> tuple[list[int], list[int]]:
        """Returns the lowest voxel of the patch to cut, and the one behind its highest; arguments are nnU-Net's."""
        if not force_fg or not any(len(locations) for locations in class_locations.values()):
            return self._nnunets.get_bbox(data_shape, force_fg, class_locations, **options)
        voxel, lesion = self._draw(data_shape, class_locations, options)
        held = lesion if self._held == "lesion" else voxel[None]
        low = []
        for axis, (side, cut, patch) in enumerate(
            zip(data_shape, self._nnunets.patch_size, self._nnunets.final_patch_size, strict=True)
        ):
            along = held[:, axis]
            if along.max() - along.min() >= patch:
                along = voxel[axis : axis + 1]
            first = max(along.max() - patch + 1, min(0, side - patch))
            last = min(along.min(), max(0, side - patch))
            start = np.random.randint(first, last + 1)
            # of a lesion that is cut along this axis, the rest has to fit along the next one
            held = held[(held[:, axis] >= start) & (held[:, axis] < start + patch)]
            # nnU-Net's transforms crop the middle
            low.append(int(start - (cut // 2 - patch // 2)))
        return low, [start + cut for start, cut in zip(low, self._nnunets.patch_size, strict=True)]

    def _draw(
        self, data_shape: Sequence[int], class_locations: Mapping[Any, Any], options: dict[str, Any]
    ) -> tuple[np.ndarray, np.ndarray]:
        """The voxel that nnU-Net draws, (3,), and all locations of its class, (n, 3).

        A patch of one voxel begins at its location: given numbers of classes and rows there, nnU-Net returns those.
        """
        numbered = {}
        for number, (key, locations) in enumerate(class_locations.items()):
            numbered[key] = np.zeros((len(locations), 4), dtype=int)
            numbered[key][:, 1], numbered[key][:, 2] = number, np.arange(len(locations))
        (number, row, _), _ = self._one_voxel.get_bbox(data_shape, True, numbered, **options)
        locations = np.asarray(list(class_locations.values())[number])[:, 1:]
        return locations[row], locations
