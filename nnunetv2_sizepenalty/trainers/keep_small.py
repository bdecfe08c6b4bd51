"""`_keepSmall`: targets of deep supervision that hold every lesion at every scale.

nnU-Net takes the voxel in the middle of each window, which drops lesions of a few voxels (MIC-DKFZ/nnUNet#1226).
"""

from collections.abc import Sequence

import torch
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from batchgeneratorsv2.transforms.utils.deep_supervision_downsampling import DownsampleSegForDSTransform
from torch import Tensor

from nnunetv2_sizepenalty.losses import TargetLayout


def pool_smallest(labels: Tensor, shape: Sequence[int]) -> Tensor:
    """Returns the label in each window that has the fewest voxels in all, the higher one of two; 0 where there is none.

    Args:
        labels: 2D or 3D integers, 0 for nothing.
        shape: of the result; a voxel belongs to the window that its centre lies in.
    """
    pooled = labels.new_zeros(tuple(shape))
    where = labels.nonzero(as_tuple=True)
    found = labels[where].long()
    if not len(found):
        return pooled
    # the label that most voxels have comes first
    order = torch.argsort(-torch.bincount(found), stable=True)
    window = torch.zeros_like(found)
    for index, fine, coarse in zip(where, labels.shape, shape, strict=True):
        window = window * coarse + (2 * index + 1) * coarse // (2 * fine)
    last = torch.full((pooled.numel(),), -1).scatter_reduce(0, window, torch.argsort(order)[found], "amax")
    filled = last >= 0
    pooled.view(-1)[filled] = order[last[filled]].to(labels.dtype)
    return pooled


class KeepSmall(DownsampleSegForDSTransform):
    """nnU-Net's targets at its scales, and foreground wherever a window holds some.

    Of several classes in a window the one that is rarer in the patch is taken; each region is pooled by itself. A
    window is ignored where nnU-Net's voxel is and nothing in it is known to be foreground. A voxel of a lesion belongs
    to its own cell: of several lesions of a class to the smaller one's.

    Args:
        ds_scales: nnU-Net's.
        layout: of the targets.
    """

    def __init__(self, ds_scales: Sequence, layout: TargetLayout):
        super().__init__(ds_scales)
        self.layout = layout

    def _apply_to_segmentation(self, segmentation: Tensor, **params) -> list[Tensor]:
        return [
            target if target.shape == segmentation.shape else self._keep(segmentation, target)
            for target in super()._apply_to_segmentation(segmentation, **params)
        ]

    def _keep(self, segmentation: Tensor, nearest: Tensor) -> Tensor:
        """The target at the scale of nnU-Net's, `nearest`."""
        layout, shape, target = self.layout, nearest.shape[1:], nearest.clone()
        if layout.regions:
            for region in range(layout.heads):
                target[region] = pool_smallest(segmentation[region].int(), shape).to(target.dtype)
            if layout.ignore_label is not None:
                target[layout.heads] = nearest[layout.heads].bool() & ~target[: layout.heads].bool().any(0)
        else:
            labels = segmentation[0]
            if layout.ignore_label is not None:
                labels = labels.masked_fill(labels == layout.ignore_label, 0)
            kept = pool_smallest(labels, shape)
            target[0] = torch.where(kept > 0, kept, nearest[0])
        if layout.with_cells:
            wholes = layout.masks(segmentation[: layout.plain_width])
            for number, (whole, mask) in enumerate(zip(wholes, layout.masks(target), strict=True)):
                cells = layout.plain_width + number
                lesions = pool_smallest(segmentation[cells] * whole, shape)
                target[cells] = torch.where(mask, lesions, nearest[cells])
        return target


def keep_small(transforms: ComposeTransforms, layout: TargetLayout) -> ComposeTransforms:
    """Puts `KeepSmall` in the place of nnU-Net's downsampling, which comes last; there is none without its scales."""
    *others, last = transforms.transforms
    if not isinstance(last, DownsampleSegForDSTransform):
        return transforms
    return ComposeTransforms([*others, KeepSmall(last.ds_scales, layout)])
