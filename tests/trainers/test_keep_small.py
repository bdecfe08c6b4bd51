"""`_keepSmall`: every lesion is there at every scale of deep supervision, in its own cell, and nothing is made up."""

import numpy as np
import pytest
import torch
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from batchgeneratorsv2.transforms.utils.deep_supervision_downsampling import DownsampleSegForDSTransform
from preprocessed_masks import blobs

from nnunetv2_sizepenalty.lesions import lesion_cells
from nnunetv2_sizepenalty.losses import DeepSupervision, TargetLayout, build_loss
from nnunetv2_sizepenalty.trainers.cells import AppendCells, with_cells
from nnunetv2_sizepenalty.trainers.keep_small import KeepSmall, keep_small, pool_smallest

SCALES = [[1.0, 1.0, 1.0], [1.0, 0.5, 0.5], [0.5, 0.25, 0.25], [0.25, 0.125, 0.125]]
SHAPE = (8, 32, 32)


def windows(shape, coarse):
    """(index of the coarse voxel, slices of its window) of shapes that divide."""
    sides = [n // m for n, m in zip(shape, coarse, strict=True)]
    for index in np.ndindex(*coarse):
        yield index, tuple(slice(i * side, (i + 1) * side) for i, side in zip(index, sides, strict=True))


def expected_labels(labels: np.ndarray, nearest: np.ndarray, ignore: int | None) -> np.ndarray:
    """The target of one scale with loops, from its definition."""
    counts = {label: (labels == label).sum() for label in np.unique(labels) if label not in (0, ignore)}
    target = nearest.copy()
    for index, window in windows(labels.shape, nearest.shape):
        there = [label for label in np.unique(labels[window]) if label in counts]
        if there:
            target[index] = min(there, key=lambda label: (counts[label], -label))
    return target


@pytest.mark.parametrize("ignore", [None, 4])
@pytest.mark.parametrize("seed", range(3))
def test_the_rarest_class_of_each_window_else_nnunets_voxel(seed, ignore):
    labels = blobs(seed, SHAPE, values=(1, 2, 3, 3, 3) if ignore is None else (1, 2, 3, 3, 4), threshold=0.3)
    segmentation = torch.from_numpy(labels.astype(np.int16))[None]
    made = KeepSmall(SCALES, TargetLayout(4, False, ignore))(segmentation=segmentation)["segmentation"]
    nnunets = DownsampleSegForDSTransform(SCALES)(segmentation=segmentation)["segmentation"]
    assert torch.equal(made[0], segmentation)
    for target, nearest in zip(made[1:], nnunets[1:], strict=True):
        assert target.dtype == nearest.dtype
        np.testing.assert_array_equal(target[0], expected_labels(labels, nearest[0].numpy(), ignore))
        assert not torch.equal(target, nearest)


def test_a_lesion_of_three_voxels_is_there_at_every_scale():
    segmentation = torch.zeros((1, *SHAPE), dtype=torch.int16)
    segmentation[0, 2, 9, 9:12] = 1
    nnunets = DownsampleSegForDSTransform(SCALES)(segmentation=segmentation)["segmentation"]
    made = KeepSmall(SCALES, TargetLayout(2, False))(segmentation=segmentation)["segmentation"]
    assert [int(target.sum()) for target in nnunets][-1] == 0
    assert [int(target.sum()) for target in made] == [3, 2, 1, 1]


def test_ignored_voxels_neither_spread_nor_hide_a_lesion():
    segmentation = torch.zeros((1, 2, 8, 8), dtype=torch.int16)
    segmentation[0, :, :4] = 2  # ignored
    segmentation[0, 0, 4, 0] = 2  # one ignored voxel in a window of background
    segmentation[0, 0, 0, 5] = 1  # a lesion's voxel in a window that is ignored else
    scales = [[1.0, 1.0, 1.0], [0.5, 0.5, 0.5]]
    _, half = KeepSmall(scales, TargetLayout(2, False, 2))(segmentation=segmentation)["segmentation"]
    assert half[0, 0].tolist() == [[2, 2, 1, 2], [2, 2, 2, 2], [0, 0, 0, 0], [0, 0, 0, 0]]
    regions = torch.stack([segmentation[0] == 1, segmentation[0] == 2])
    _, half = KeepSmall(scales, TargetLayout(1, True, 2))(segmentation=regions)["segmentation"]
    assert half.dtype == torch.bool
    assert half[0, 0].int().tolist() == [[0, 0, 1, 0], [0] * 4, [0] * 4, [0] * 4]
    assert half[1, 0].int().tolist() == [[1, 1, 0, 1], [1] * 4, [0] * 4, [0] * 4]


def test_regions_are_pooled_channel_by_channel():
    labels = torch.from_numpy(blobs(1, SHAPE, values=(1, 2), threshold=0.5))
    regions = torch.stack([labels > 0, labels == 2])
    made = KeepSmall(SCALES, TargetLayout(2, True))(segmentation=regions)["segmentation"]
    for target in made[1:]:
        for index, window in windows(SHAPE, target.shape[1:]):
            for channel in range(2):
                assert target[(channel, *index)] == regions[channel][window].any()
        assert (target[0] | ~target[1]).all(), "a core outside of the whole"


def test_2d_and_sides_that_windows_do_not_divide():
    segmentation = torch.zeros((1, 15, 10), dtype=torch.int16)
    segmentation[0, 14, 9] = segmentation[0, 7, 0] = 1
    made = KeepSmall([[1, 1], [0.5, 0.5]], TargetLayout(2, False))(segmentation=segmentation)["segmentation"]
    assert made[1].shape == (1, 8, 5)
    assert made[1][0, 7, 4] == 1
    assert made[1][0, 3:5, 0].any()


def test_pooling_without_anything_is_empty():
    assert torch.equal(pool_smallest(torch.zeros(4, 4), (2, 2)), torch.zeros(2, 2))


@pytest.mark.parametrize("regions", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_a_kept_lesion_lies_in_its_own_cell(seed, regions):
    labels = torch.from_numpy(blobs(seed, SHAPE, values=(1, 2), threshold=0.55))
    plain = torch.stack([labels > 0, labels == 2]) if regions else labels[None]
    layout = TargetLayout(2 if regions else 3, regions, with_cells=True)
    whole = AppendCells(layout, (3.0, 1.0, 1.0))(segmentation=plain)["segmentation"]
    targets = KeepSmall(SCALES, layout)(segmentation=whole)["segmentation"]
    nnunets = DownsampleSegForDSTransform(SCALES)(segmentation=whole)["segmentation"]
    for target, nearest in zip(targets[1:], nnunets[1:], strict=True):
        for channel, mask in enumerate(layout.masks(target)):
            lesions = (whole[layout.plain_width + channel] * layout.masks(whole)[channel]).numpy()
            cells, sizes = target[layout.plain_width + channel], np.bincount(lesions.ravel())
            for index, window in windows(SHAPE, mask.shape):
                there = np.unique(lesions[window])
                if mask[index]:
                    own = min(there[there > 0], key=lambda lesion: (sizes[lesion], -lesion))
                    assert cells[index] == own
                else:
                    assert cells[index] == nearest[(layout.plain_width + channel, *index)]


def test_every_lesion_of_a_single_class_has_a_voxel_at_a_scale_with_a_window_of_its_own():
    labels = np.zeros(SHAPE, np.int16)
    for z, y, x in [(1, 3, 3), (6, 20, 5), (3, 10, 29), (7, 31, 31)]:
        labels[z, y, x] = 1
    layout = TargetLayout(2, False, with_cells=True)
    transforms = with_cells(
        keep_small(ComposeTransforms([DownsampleSegForDSTransform(SCALES)]), layout), layout, (1.0, 1.0, 1.0)
    )
    targets = transforms(segmentation=torch.from_numpy(labels)[None])["segmentation"]
    for target in targets:
        assert sorted(target[1][target[0] > 0].tolist()) == [1, 2, 3, 4]
    assert torch.equal(targets[0][1], torch.from_numpy(lesion_cells(labels, (1.0, 1.0, 1.0))))


def test_without_deep_supervision_nothing_changes():
    transforms = ComposeTransforms([AppendCells(TargetLayout(2, False, with_cells=True), (1.0, 1.0))])
    assert keep_small(transforms, TargetLayout(2, False)) is transforms


def test_losses_by_lesion_take_such_targets():
    torch.manual_seed(0)
    labels = torch.from_numpy(blobs(7, SHAPE, threshold=0.55).astype(np.int16))[None]
    layout = TargetLayout(2, False, with_cells=True)
    transforms = with_cells(
        keep_small(ComposeTransforms([DownsampleSegForDSTransform(SCALES)]), layout),
        layout,
        (1.0, 1.0, 1.0),
        share_lost=True,
    )
    targets = [target[None] for target in transforms(segmentation=labels)["segmentation"]]
    logits = [torch.randn(1, 2, *target.shape[2:], requires_grad=True) for target in targets]
    loss = DeepSupervision(build_loss("DKLBHS", regions=False, sizeweight=4.0), (0.5, 0.25, 0.15, 0.1))
    loss(logits, targets).backward()
    assert all(torch.isfinite(each.grad).all() and each.grad.abs().sum() > 0 for each in logits)
