"""One layout for who writes a target's channels and who reads them."""

import numpy as np
import pytest
import torch

from nnunetv2_sizepenalty.losses import TargetLayout

LAYOUTS = {
    "regions": (TargetLayout(2, True), 2, 2),
    "regions, ignored": (TargetLayout(2, True, 3), 2, 3),
    "regions, ignored, cells": (TargetLayout(2, True, 3, with_cells=True), 2, 5),
    "labels": (TargetLayout(3, False), 2, 1),
    "labels, ignored": (TargetLayout(3, False, 3), 2, 1),
    "labels, ignored, cells": (TargetLayout(3, False, 3, with_cells=True), 2, 3),
}


def sample(layout: TargetLayout) -> tuple[torch.Tensor, list[torch.Tensor], torch.Tensor]:
    """A segmentation as nnU-Net makes it, its two masks, and its ignored voxels."""
    masks = [torch.zeros(4, 5, dtype=torch.bool) for _ in range(2)]
    masks[0][0, :3] = masks[1][2:, 3] = True
    ignored = torch.zeros(4, 5, dtype=torch.bool)
    if layout.ignore_label is not None:
        ignored[3, 0] = True
    if layout.regions:
        channels = [*masks, ignored] if layout.ignore_label is not None else masks
        return torch.stack(channels).float(), masks, ignored
    labels = masks[0] + 2 * masks[1]
    labels[ignored] = 3
    return labels[None].float(), masks, ignored


@pytest.mark.parametrize(("layout", "channels", "width"), LAYOUTS.values(), ids=LAYOUTS)
def test_what_is_written_is_read(layout, channels, width):
    segmentation, masks, ignored = sample(layout)
    assert layout.channels == channels
    cells = torch.arange(2 * 4 * 5, dtype=torch.int32).view(2, 4, 5)
    target = layout.append_cells(segmentation, cells) if layout.with_cells else segmentation
    assert target.shape == (width, 4, 5)
    assert layout.without_cells(target[None])[0].tolist() == segmentation.tolist()
    reference, found_ignored, found_cells = layout.split(target[None])
    assert [mask.tolist() for mask in layout.masks(reference[0])] == [mask.tolist() for mask in masks]
    assert (found_ignored is None) == (layout.ignore_label is None)
    assert found_ignored is None or found_ignored[0, 0].tolist() == ignored.tolist()
    assert (found_cells is None) == (not layout.with_cells)
    assert found_cells is None or torch.equal(found_cells[0], cells)


@pytest.mark.parametrize("name", ["regions, ignored", "labels, ignored"])
def test_masks_of_arrays_are_those_of_tensors(name):
    layout = LAYOUTS[name][0]
    segmentation, masks, _ = sample(layout)
    for ours, expected in zip(layout.masks(segmentation.numpy()), masks, strict=True):
        assert isinstance(ours, np.ndarray)
        assert ours.tolist() == expected.tolist()
