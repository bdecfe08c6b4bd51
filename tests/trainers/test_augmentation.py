"""Each augmentation changes what it should and nothing else; nnU-Net's obligatory transforms stay."""

import numpy as np
import pytest
import torch
from augmentation_page import IMAGES, NAMES, SHAPE, always, augmented, draw_page, phantom_patch
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import (
    ConvertSegmentationToRegionsTransform,
    DownsampleSegForDSTransform,
    MaskImageTransform,
    MoveSegAsOneHotToDataTransform,
    RandomTransform,
    RemoveLabelTansform,
    nnUNetTrainer,
)

from nnunetv2_sizepenalty.trainers.augmentation import (
    NOISE_SIGMA,
    SCALE,
    BackgroundCutout,
    after_augmentation,
    elastic_margin,
    elastic_transforms,
    thesis_transforms,
)
from nnunetv2_sizepenalty.trainers.loaders import seed_everything

INTENSITIES = ("intensity scale", "intensity shift", "noise", "gamma")


@pytest.fixture(scope="module")
def original():
    return phantom_patch()


@pytest.mark.parametrize("name", NAMES)
def test_changes_the_images_and_recomputes_the_mismatch(original, name):
    patch = augmented(name)
    for channel in IMAGES:
        assert not torch.equal(patch["image"][channel], original["image"][channel])
    adc, dwi, mismatch = patch["image"]
    torch.testing.assert_close(mismatch, dwi * (1 - adc.clip(0, 1)), rtol=0, atol=1e-6)
    assert patch["image"].shape == original["image"].shape


@pytest.mark.parametrize("name", ["background cutout", *INTENSITIES])
def test_labels_stay_where_they_were(original, name):
    assert torch.equal(augmented(name)["segmentation"], original["segmentation"])


@pytest.mark.parametrize("name", INTENSITIES)
def test_only_the_named_channels_change(original, name):
    patch = {"image": original["image"].clone(), "segmentation": original["segmentation"]}
    before = patch["image"]
    changed = always(name, channels=[1])(**patch)["image"]
    assert torch.equal(before, original["image"])  # the loader's own memory
    assert torch.equal(changed[[0, 2]], original["image"][[0, 2]])
    assert not torch.equal(changed[1], original["image"][1])


def test_scale_is_one_factor_a_channel(original):
    for channel in IMAGES:
        before, after = original["image"][channel], augmented("intensity scale")["image"][channel]
        factor = (after[before > 0] / before[before > 0]).double()
        assert factor.std() < 1e-5
        assert SCALE[0] <= factor.mean() <= SCALE[1]


def test_shift_is_one_number_a_channel(original):
    shift = (augmented("intensity shift")["image"] - original["image"])[list(IMAGES)].flatten(1)
    torch.testing.assert_close(shift, shift[:, :1].expand_as(shift), rtol=0, atol=1e-6)
    assert (shift[:, 0].abs() > 1e-4).all()


def test_noise_is_centred_and_no_stronger_than_a_tenth_of_the_channels_deviation(original):
    for channel in IMAGES:
        noise = augmented("noise")["image"][channel] - original["image"][channel]
        sigma = noise.std()
        assert sigma <= 1.02 * NOISE_SIGMA[1] * original["image"][channel].std()
        assert noise.mean().abs() < 4 * sigma / noise.numel() ** 0.5


def test_gamma_keeps_order_and_range(original):
    for channel in IMAGES:
        before, after = original["image"][channel].flatten(), augmented("gamma")["image"][channel].flatten()
        assert (after[before.argsort()].diff() >= -1e-6).all()
        torch.testing.assert_close(torch.stack(after.aminmax()), torch.stack(before.aminmax()), rtol=0, atol=1e-6)


@pytest.mark.parametrize("unit", [0.001, 1.0, 1000.0])
def test_intensities_mean_the_same_in_any_unit(original, unit):
    for name in INTENSITIES:
        seed_everything((0,))
        expected = always(name)(image=original["image"].clone())["image"]
        seed_everything((0,))
        found = always(name)(image=unit * original["image"])["image"]
        torch.testing.assert_close(found / unit, expected, rtol=1e-4, atol=1e-5)


def test_a_constant_channel_stays(original):
    for name in INTENSITIES:
        padding = torch.zeros_like(original["image"])
        assert torch.equal(always(name)(image=padding)["image"], padding)


def test_cutouts_are_flat_boxes_beside_the_lesions(original):
    cutout = BackgroundCutout(SHAPE)
    lesion = original["segmentation"][0] > 0
    drawn = 0
    for seed in range(50):
        seed_everything((seed,))
        parameters = cutout.get_parameters(**original)
        image = cutout._apply_to_image(original["image"], **parameters)
        covered = torch.zeros(SHAPE, dtype=torch.bool)
        assert all(boxes == parameters["rectangles"][0] for boxes in parameters["rectangles"])
        for lower, upper in parameters["rectangles"][0]:
            drawn += 1
            sides = np.subtract(upper, lower)
            assert (sides >= np.array(SHAPE) // 8).all()
            assert (sides <= np.array(SHAPE) // 4).all()
            covered[tuple(map(slice, lower, upper))] = True
        assert not (covered & lesion).any()
        assert torch.equal(image[:, ~covered], original["image"][:, ~covered])
        if parameters["rectangles"][0]:
            last = tuple(map(slice, *parameters["rectangles"][0][-1]))
            for channel in image:
                assert channel[last].min() == channel[last].max()
    assert drawn > 50


def test_no_cutout_where_everything_is_labelled(original):
    labelled = torch.ones_like(original["segmentation"])
    out = BackgroundCutout(SHAPE)(image=original["image"].clone(), segmentation=labelled)
    assert torch.equal(out["image"], original["image"])


def test_flips_are_of_all_axes_together_with_the_labels(original):
    patch = augmented("flips")  # drawn so that all three axes are flipped
    assert torch.equal(patch["image"], original["image"].flip(1, 2, 3))
    assert torch.equal(patch["segmentation"], original["segmentation"].flip(1, 2, 3))
    seen = set()
    corners = torch.arange(8.0).view(1, 2, 2, 2)
    for seed in range(60):
        seed_everything((seed,))
        seen.add(tuple(always("flips")(image=corners)["image"].flatten().tolist()))
    assert len(seen) == 8


@pytest.mark.parametrize("dummy_2d", [False, True])
def test_deformation_moves_image_and_labels_together_and_keeps_volumes(dummy_2d):
    name = "elastic deformation in the plane" if dummy_2d else "elastic deformation"
    zyx = np.indices(SHAPE) - np.array(SHAPE).reshape(3, 1, 1, 1) / 2
    ball = torch.from_numpy(((zyx / np.array([6, 20, 20]).reshape(3, 1, 1, 1)) ** 2).sum(0) < 1)[None]
    for seed in range(5):
        seed_everything((seed,))
        patch = always(name)(image=ball.float(), segmentation=ball.to(torch.int16))
        labelled, bright = patch["segmentation"] == 1, patch["image"] > 0.5
        assert (labelled != bright).sum() < 1e-3 * ball.sum()
        assert 0.6 < labelled.sum() / ball.sum() < 1.6


def deformed_coordinates(dummy_2d, seed):
    """Where each voxel of a patch comes from, (axes, z, y, x): an image of coordinates, with the margin around it."""
    margin = elastic_margin(SHAPE, dummy_2d)
    cut = [side + 2 * m for side, m in zip(SHAPE, margin, strict=True)]
    coordinates = torch.from_numpy(np.indices(cut).astype(np.float32)) - torch.tensor(margin).view(3, 1, 1, 1)
    seed_everything((seed,))
    transforms = elastic_transforms(SHAPE, dummy_2d)
    transforms[len(transforms) // 2].p_elastic_deform = 1
    labels = torch.zeros((1, *cut), dtype=torch.int16)
    patch = ComposeTransforms(transforms)(image=coordinates, segmentation=labels)
    return patch["image"].numpy(), patch["segmentation"]


@pytest.mark.parametrize("dummy_2d", [False, True])
def test_no_voxel_passes_another_and_the_margin_suffices(dummy_2d):
    for seed in range(8):
        coordinates, labels = deformed_coordinates(dummy_2d, seed)
        assert (labels == 0).all()  # -1 would be outside
        interior = (slice(None), *(slice(4, -4) for _ in SHAPE))
        for axis in range(3):
            assert (np.diff(coordinates[axis], axis=axis)[interior[1:]] > 0).all()


def test_in_the_plane_all_slices_move_alike():
    coordinates, _ = deformed_coordinates(True, 0)
    np.testing.assert_allclose(coordinates[0], np.indices(SHAPE)[0], atol=1e-3)
    np.testing.assert_allclose(coordinates[1:], coordinates[1:, :1].repeat(SHAPE[0], 1), atol=1e-3)
    assert elastic_margin((32, 128, 128), True) == [0, 16, 16]
    assert elastic_margin((32, 64, 64), False) == [4, 8, 8]


def test_two_dimensional_patches():
    seed_everything((0,))
    image, labels = torch.rand(2, 80, 80), torch.zeros(1, 80, 80, dtype=torch.int16)
    for _ in range(20):
        patch = ComposeTransforms(thesis_transforms((64, 64), False, (0, 1), None))(image=image, segmentation=labels)
        assert patch["image"].shape == (2, 64, 64)
        assert patch["segmentation"].shape == (1, 64, 64)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [RemoveLabelTansform]),
        ({"use_mask_for_norm": [True]}, [MaskImageTransform, RemoveLabelTansform]),
        (
            {"is_cascaded": True, "foreground_labels": [1], "regions": [[1, 1]], "ignore_label": 2},
            [
                *(RemoveLabelTansform, MoveSegAsOneHotToDataTransform, RandomTransform, RandomTransform),
                ConvertSegmentationToRegionsTransform,
            ],
        ),
    ],
    ids=["plain", "masked", "cascade with regions"],
)
@pytest.mark.parametrize("scales", [None, [[1, 1, 1], [0.5, 0.5, 0.5]]], ids=["one scale", "deep supervision"])
def test_nnunets_obligatory_transforms_stay(options, expected, scales):
    nnunets = nnUNetTrainer.get_training_transforms(SHAPE, (-0.5, 0.5), scales, (0, 1, 2), False, **options)
    kept = [type(transform) for transform in after_augmentation(nnunets)]
    assert kept == expected + ([DownsampleSegForDSTransform] if scales else [])


def test_page_of_pictures(tmp_path):
    draw_page(tmp_path / "augmentation.png")
    assert (tmp_path / "augmentation.png").stat().st_size > 100_000
