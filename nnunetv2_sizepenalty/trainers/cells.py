"""`_perlesion`: the lesions' cells travel with the target, made by the loader's workers after augmentation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from batchgeneratorsv2.transforms.base.basic_transform import SegOnlyTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from batchgeneratorsv2.transforms.utils.deep_supervision_downsampling import DownsampleSegForDSTransform

from nnunetv2_sizepenalty.lesions import lesion_cells


class AppendCells(SegOnlyTransform):
    """Appends to a segmentation (C, *spatial) one channel of `lesion_cells` for each region or foreground class.

    The result is int32, whatever the type. Lesions are those of the patch: one that it cuts in two counts twice.

    Args:
        channels: how many regions or classes there are.
        regions: they are the first channels, foreground where not 0; else labels 1 to `channels` in the first channel.
        spacing_mm: of the voxels.
    """

    def __init__(self, channels: int, regions: bool, spacing_mm: Sequence[float]):
        super().__init__()
        self.channels = channels
        self.regions = regions
        self.spacing_mm = tuple(spacing_mm)

    def _apply_to_segmentation(self, segmentation: torch.Tensor, **params) -> torch.Tensor:
        array = segmentation.numpy()
        masks = array[: self.channels] if self.regions else [array[0] == 1 + k for k in range(self.channels)]
        cells = np.stack([lesion_cells(mask, self.spacing_mm) for mask in masks])
        return torch.cat([segmentation.int(), torch.from_numpy(cells)])


class CellsInTarget:
    """Mixin for nnUNetTrainer: with `per_lesion` its batches' targets hold the cells as their last channels."""

    per_lesion = False

    def get_training_transforms(self, *args, **kwargs) -> ComposeTransforms:
        return self._with_cells(super().get_training_transforms(*args, **kwargs))

    def get_validation_transforms(self, *args, **kwargs) -> ComposeTransforms:
        return self._with_cells(super().get_validation_transforms(*args, **kwargs))

    def _with_cells(self, transforms: ComposeTransforms) -> ComposeTransforms:
        """Appends the cells to the target that nnU-Net made, before it is downsampled for deep supervision."""
        if not self.per_lesion:
            return transforms
        listed = list(transforms.transforms)
        scales = [listed.pop()] if isinstance(listed[-1], DownsampleSegForDSTransform) else []
        regions, heads = self.label_manager.has_regions, self.label_manager.num_segmentation_heads
        cells = AppendCells(heads if regions else heads - 1, regions, self.configuration_manager.spacing)
        return ComposeTransforms([*listed, cells, *scales])

    def validation_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """nnU-Net's pseudo Dice gets the target without the cells, the loss gets all of it."""
        if not self.per_lesion:
            return super().validation_step(batch)
        target = batch["target"]
        if isinstance(target, list):
            whole = [scale.to(self.device, non_blocking=True) for scale in target]
            plain = [self._without_cells(scale) for scale in whole]
        else:
            whole = target.to(self.device, non_blocking=True)
            plain = self._without_cells(whole)
        with self.loss.register_forward_pre_hook(lambda loss, inputs: (inputs[0], whole)):
            return super().validation_step({**batch, "target": plain})

    def _without_cells(self, target: torch.Tensor) -> torch.Tensor:
        if not self.label_manager.has_regions:
            return target[:, :1]
        return target[:, : self.label_manager.num_segmentation_heads + self.label_manager.has_ignore_label]
