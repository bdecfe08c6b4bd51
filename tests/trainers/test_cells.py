"""Cells in the target: which channels, in which order with nnU-Net's own transforms, and what nnU-Net gets to see."""

import numpy as np
import pytest
import torch
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import DownsampleSegForDSTransform, nnUNetTrainer
from nnunetv2.utilities.label_handling.label_handling import LabelManager

from nnunetv2_sizepenalty.lesions import lesion_cells
from nnunetv2_sizepenalty.losses import DeepSupervision, TargetLayout, build_loss
from nnunetv2_sizepenalty.trainers.cells import AppendCells, cells_for_the_loss_alone, layout_with_cells, with_cells
from nnunetv2_sizepenalty.trainers.loaders import seed_everything

SPACING_MM = (6.0, 2.0, 2.0)
SHAPE = (8, 16, 16)
LABELS = {
    "classes": {"background": 0, "lesion": 1, "old": 2},
    "classes, ignore": {"background": 0, "lesion": 1, "old": 2, "ignore": 3},
    "regions": {"background": 0, "any": [1, 2], "old": 2},
    "regions, ignore": {"background": 0, "any": [1, 2], "old": 2, "ignore": 3},
}


def label_map(ignored: bool) -> torch.Tensor:
    """Three lesions of label 1, two of label 2, one of which touches a lesion of label 1; a slice of `ignored`."""
    labels = torch.zeros(1, *SHAPE, dtype=torch.int16)
    labels[0, 1, 1:3, 1:3] = labels[0, 6, 12, 12] = labels[0, 2, 8, 8:10] = 1
    labels[0, 2, 8, 10:12] = labels[0, 5, 2, 13] = 2
    labels[0, 7] = 3 if ignored else -1  # nnU-Net's padding
    return labels


class Trainer(nnUNetTrainer):
    """nnU-Net's, with the cells where ours has them."""

    def __init__(self, labels: dict):
        self.label_manager = LabelManager(labels, [1, 2])
        self.layout = layout_with_cells(self.label_manager)

    def validation_step(self, batch):
        with cells_for_the_loss_alone(self.loss, batch, self.layout, self.device) as plain:
            return super().validation_step(plain)


def transforms(trainer: Trainer, part: str, scales):
    """With the cells."""
    return with_cells(nnunets_transforms(trainer, part, scales), trainer.layout, SPACING_MM)


def nnunets_transforms(trainer: Trainer, part: str, scales):
    manager = trainer.label_manager
    regions = manager.foreground_regions if manager.has_regions else None
    options = {"regions": regions, "ignore_label": manager.ignore_label, "foreground_labels": manager.foreground_labels}
    if part == "validation":
        return trainer.get_validation_transforms(scales, **options)
    return trainer.get_training_transforms(SHAPE, (0, 0), scales, (0, 1, 2), False, **options)


@pytest.mark.parametrize("part", ["training", "validation"])
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_cells_of_the_augmented_labels_come_last(labels, part):
    trainer = Trainer(labels)
    ignored = trainer.label_manager.has_ignore_label
    seed_everything((0,))
    patch = {"image": torch.zeros(1, *SHAPE), "segmentation": label_map(ignored)}
    target = transforms(trainer, part, None)(**patch)["segmentation"]
    nnunets, cells = target[:-2], target[-2:]
    assert len(nnunets) == (2 + ignored if trainer.label_manager.has_regions else 1)
    for channel in range(2):
        mask = nnunets[channel] if trainer.label_manager.has_regions else nnunets[0] == channel + 1
        torch.testing.assert_close(cells[channel], torch.from_numpy(lesion_cells(mask.numpy(), SPACING_MM)))
    assert cells.amax((1, 2, 3)).tolist() == ([4, 2] if trainer.label_manager.has_regions else [3, 2])


@pytest.mark.parametrize("part", ["training", "validation"])
def test_deep_supervision_downsamples_them_like_the_target(part):
    trainer = Trainer(LABELS["classes"])
    seed_everything((0,))
    patch = {"image": torch.zeros(1, *SHAPE), "segmentation": label_map(False)}
    full, half = transforms(trainer, part, [[1, 1, 1], [0.5, 0.5, 0.5]])(**patch)["segmentation"]
    assert (full.dtype, half.dtype) == (torch.int32, torch.int32)
    assert half.shape == (3, 4, 8, 8)
    (expected,) = DownsampleSegForDSTransform([0.5])(segmentation=full)["segmentation"]
    assert torch.equal(half, expected)


@pytest.mark.parametrize("part", ["training", "validation"])
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_cells_of_lesions_that_a_scale_drops_go_to_those_that_are_left(labels, part):
    trainer = Trainer(labels)
    scales = [[1, 1, 1], [0.5, 0.5, 0.5], [0.25, 0.25, 0.25]]
    targets = {}
    for share_lost in (False, True):
        seed_everything((0,))
        patch = {"image": torch.zeros(1, *SHAPE), "segmentation": label_map(trainer.label_manager.has_ignore_label)}
        made = nnunets_transforms(trainer, part, scales)
        made = with_cells(made, trainer.layout, SPACING_MM, share_lost=share_lost)
        targets[share_lost] = made(**patch)["segmentation"]
    lost, plain = 0, trainer.layout.plain_width
    assert torch.equal(targets[True][0], targets[False][0])
    for shared, cells in zip(targets[True][1:], targets[False][1:], strict=True):
        assert shared.dtype == cells.dtype
        assert torch.equal(shared[:plain], cells[:plain])
        for channel, mask in enumerate(trainer.layout.masks(shared)):
            left = set(cells[plain + channel][mask].tolist())
            lost += len(set(cells[plain + channel].unique().tolist()) - left)
            assert set(shared[plain + channel].unique().tolist()) == (left or {0})
            kept = torch.isin(cells[plain + channel], torch.tensor(sorted(left)))
            assert torch.equal(shared[plain + channel][kept], cells[plain + channel][kept])
    assert lost > 0, "no scale drops a lesion"


def test_l_takes_every_voxel_of_a_coarse_scale_into_account():
    labels = torch.zeros(1, 1, 16, dtype=torch.int16)
    labels[0, 0, 1] = labels[0, 0, 14] = 1  # one of them lies where nnU-Net looks
    layout, scales = TargetLayout(2, False, with_cells=True), DownsampleSegForDSTransform([[1, 1], [1, 0.5]])
    gradient = {}
    for share_lost in (False, True):
        made = with_cells(ComposeTransforms([scales]), layout, (1.0, 1.0), share_lost=share_lost)
        target = made(segmentation=labels)["segmentation"][1][None]
        assert target[:, 0].sum() == 1
        logits = torch.zeros(1, 2, 1, 8, requires_grad=True)
        build_loss("L", regions=False)(logits, target).backward()
        gradient[share_lost] = logits.grad[0, 1, 0] != 0
    assert gradient[False].sum() == 4
    assert gradient[True].all()


def test_cells_in_2d():
    labels = torch.zeros(1, 6, 20, dtype=torch.int16)
    labels[0, 3, 2] = labels[0, 3, 12] = 1
    target = AppendCells(TargetLayout(2, False, with_cells=True), (1.0, 1.0))(segmentation=labels)["segmentation"]
    assert target.shape == (2, 6, 20)
    assert target[1, :, :7].eq(1).all()
    assert target[1, :, 8:].eq(2).all()


class TwoScales(torch.nn.Conv3d):
    def forward(self, image):
        output = super().forward(image)
        return [output, output[..., ::2, ::2, ::2]]


@pytest.mark.parametrize("deep_supervision", [False, True])
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_nnunets_pseudo_dice_does_not_see_them_and_the_loss_does(labels, deep_supervision):
    trainer = Trainer(labels)
    manager = trainer.label_manager
    seed_everything((0,))
    trainer.device, trainer.is_ddp, trainer.enable_deep_supervision = torch.device("cpu"), False, deep_supervision
    kind = TwoScales if deep_supervision else torch.nn.Conv3d
    trainer.network = kind(1, manager.num_segmentation_heads, 3, padding=1)

    def step(per_lesion: bool) -> tuple[dict, torch.Tensor]:
        """nnU-Net's validation step on the same batch, with the loss of S per lesion or without."""
        make = transforms if per_lesion else nnunets_transforms
        patch = {"image": images.clone(), "segmentation": label_map(manager.has_ignore_label)}
        scales = [[1, 1, 1], [0.5, 0.5, 0.5]] if deep_supervision else None
        target = make(trainer, "validation", scales)(**patch)["segmentation"]
        target = [scale[None] for scale in target] if deep_supervision else target[None]
        options = {"regions": manager.has_regions, "ignore_label": manager.ignore_label}
        trainer.loss = build_loss("DTS", **options, cap=1e6, per_lesion=per_lesion)
        if deep_supervision:
            trainer.loss = DeepSupervision(trainer.loss, (0.8, 0.2))
        with torch.no_grad():
            expected = trainer.loss(trainer.network(images[None]), target)
            step = trainer.validation_step if per_lesion else super(Trainer, trainer).validation_step
            return step({"data": images[None], "target": target}), expected

    images = torch.randn(1, *SHAPE)
    (plain, expected), (with_cells, expected_per_lesion) = step(False), step(True)
    for key in ("tp_hard", "fp_hard", "fn_hard"):
        np.testing.assert_array_equal(with_cells[key], plain[key])
    assert plain["loss"] == expected
    assert with_cells["loss"] == expected_per_lesion != expected
    assert not trainer.loss._forward_pre_hooks
