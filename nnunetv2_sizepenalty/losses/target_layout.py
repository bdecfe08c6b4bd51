"""Which channel of a target holds what: for whoever writes it (the loader's workers) and whoever reads it (losses)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class TargetLayout:
    """The channels of a target as nnU-Net passes it, and of the lesions' cells behind.

    With regions there is one channel a region, foreground where positive, and with an ignore label one more, 1 where
    ignored. Without regions there is one channel of labels, class k being foreground channel k - 1. Behind all that,
    `with_cells`, comes one channel a foreground channel: each voxel's nearest lesion, 1 to n, 0 where there is none.

    Attributes:
        heads: output channels of the network: regions, or classes with the background.
        regions: nnU-Net's `label_manager.has_regions`.
        ignore_label: nnU-Net's; with regions any number says that there is one.
        with_cells: whether the cells are there.

    >>> layout = TargetLayout(heads=3, regions=False, with_cells=True)
    >>> layout.channels, layout.width
    (2, 3)
    """

    heads: int
    regions: bool
    ignore_label: int | None = None
    with_cells: bool = False

    @property
    def channels(self) -> int:
        """How many foreground channels there are: regions, or classes without the background."""
        return self.heads if self.regions else self.heads - 1

    @property
    def width(self) -> int:
        """How many channels a target has."""
        return self.plain_width + (self.channels if self.with_cells else 0)

    @property
    def plain_width(self) -> int:
        """How many of them nnU-Net knows."""
        return self.heads + (self.ignore_label is not None) if self.regions else 1

    def split(self, target: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Splits a batch's target (B, `width`, *spatial).

        Returns:
            The reference, (B, heads, *spatial) with regions and else labels (B, 1, *spatial); the ignored voxels, bool
            (B, 1, *spatial), or None; the cells (B, channels, *spatial), or None.
        """
        reference, ignored = self.without_cells(target), None
        if self.ignore_label is not None:
            ignored = reference[:, -1:] == 1 if self.regions else reference == self.ignore_label
            reference = reference[:, : self.heads] if self.regions else reference
        return reference, ignored, target[:, self.plain_width :] if self.with_cells else None

    def without_cells(self, target: Tensor) -> Tensor:
        """Returns the channels of a batch's target that nnU-Net knows."""
        return target[:, : self.plain_width]

    def append_cells(self, segmentation: Tensor, cells: Tensor) -> Tensor:
        """Returns a sample's target (C, *spatial), as int32, with its `cells` (channels, *spatial, int32) behind."""
        return torch.cat([segmentation.int(), cells])

    def masks(self, segmentation):
        """Returns the masks of a sample's foreground channels; `segmentation` is a tensor or array (C, *spatial)."""
        return [self.mask(segmentation[self.channel(number)], number) for number in range(self.channels)]

    def channel(self, number: int) -> int:
        """Returns which channel of a target the foreground channel `number`, from 0, stands in."""
        return number if self.regions else 0

    def mask(self, values, number: int):
        """Tells where the values of the target's `channel(number)` are foreground of `number`."""
        return values > 0 if self.regions else values == number + 1


def complete(target: Tensor, layout: TargetLayout) -> Tensor:
    """Returns a batch's target with the cells that it lacks behind, as int32: for loops other than nnU-Net's.

    Made on the CPU, distances in voxels; nnU-Net's loaders make them in their workers and by the spacing.
    """
    from nnunetv2_sizepenalty.lesions import lesion_cells  # needs scipy, which a loss of volumes does not

    samples = []
    for sample in target.detach().cpu():
        cells = np.stack([lesion_cells(mask.numpy()) for mask in layout.masks(sample)])
        samples.append(layout.append_cells(sample, torch.from_numpy(cells)))
    return torch.stack(samples).to(target.device)
