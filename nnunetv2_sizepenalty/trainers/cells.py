"""Terms by lesion: the lesions' cells travel with the target, made by the loader's workers after augmentation."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from batchgeneratorsv2.transforms.base.basic_transform import SegOnlyTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from batchgeneratorsv2.transforms.utils.deep_supervision_downsampling import DownsampleSegForDSTransform
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from torch import nn

from nnunetv2_sizepenalty.lesions import lesion_cells, share_lost_cells
from nnunetv2_sizepenalty.losses import TargetLayout


def layout_with_cells(label_manager: LabelManager) -> TargetLayout:
    """Returns which channels a target of that dataset has, the cells' behind."""
    return TargetLayout(
        label_manager.num_segmentation_heads, label_manager.has_regions, label_manager.ignore_label, with_cells=True
    )


class AppendCells(SegOnlyTransform):
    """Appends to a segmentation (C, *spatial) one channel of `lesion_cells` for each region or foreground class.

    The result is int32, whatever the type. Lesions are those of the patch: one that it cuts in two counts twice.

    Args:
        layout: of the result.
        spacing_mm: of the voxels.
    """

    def __init__(self, layout: TargetLayout, spacing_mm: Sequence[float]):
        super().__init__()
        self.layout = layout
        self.spacing_mm = tuple(spacing_mm)

    def _apply_to_segmentation(self, segmentation: torch.Tensor, **params) -> torch.Tensor:
        cells = [lesion_cells(mask, self.spacing_mm) for mask in self.layout.masks(segmentation.numpy())]
        return self.layout.append_cells(segmentation, torch.from_numpy(np.stack(cells)))


class ShareLostCells(SegOnlyTransform):
    """Gives the cells of lesions that a coarse scale has dropped to those that are left there, for L.

    Args:
        layout: of the targets.
        spacing_mm: of the first one's voxels.
    """

    def __init__(self, layout: TargetLayout, spacing_mm: Sequence[float]):
        super().__init__()
        self.layout = layout
        self.spacing_mm = np.asarray(spacing_mm)

    def _apply_to_segmentation(self, segmentation: list[torch.Tensor], **params) -> list[torch.Tensor]:
        finest, *coarse = segmentation
        return [finest, *(self._share(target, np.array(finest.shape[1:])) for target in coarse)]

    def _share(self, target: torch.Tensor, full: np.ndarray) -> torch.Tensor:
        plain, cells = target[: self.layout.plain_width], target[self.layout.plain_width :].numpy()
        spacing_mm = self.spacing_mm * full / target.shape[1:]
        shared = [
            share_lost_cells(of_channel, mask.numpy(), spacing_mm)
            for of_channel, mask in zip(cells, self.layout.masks(plain), strict=True)
        ]
        return self.layout.append_cells(plain, torch.from_numpy(np.stack(shared)))


def with_cells(
    transforms: ComposeTransforms, layout: TargetLayout, spacing_mm: Sequence[float], *, share_lost: bool = False
) -> ComposeTransforms:
    """Appends the cells to the target that nnU-Net's transforms make, before deep supervision downsamples it.

    Args:
        transforms: nnU-Net's; other arguments as for `AppendCells`.
        share_lost: whether cells of lesions that a coarse scale drops go to the others there.
    """
    listed = list(transforms.transforms)
    scales = [listed.pop()] if isinstance(listed[-1], DownsampleSegForDSTransform) else []
    if scales and share_lost:
        scales.append(ShareLostCells(layout, spacing_mm))
    return ComposeTransforms([*listed, AppendCells(layout, spacing_mm), *scales])


@contextmanager
def cells_for_the_loss_alone(
    loss: nn.Module, batch: dict[str, Any], layout: TargetLayout, device: torch.device
) -> Iterator[dict[str, Any]]:
    """Yields the batch with a target that nnU-Net's pseudo Dice can read; within the block `loss` gets all of it."""
    if isinstance(batch["target"], list):
        whole = [scale.to(device, non_blocking=True) for scale in batch["target"]]
        plain = [layout.without_cells(scale) for scale in whole]
    else:
        whole = batch["target"].to(device, non_blocking=True)
        plain = layout.without_cells(whole)
    with loss.register_forward_pre_hook(lambda module, inputs: (inputs[0], whole)):
        yield {**batch, "target": plain}
