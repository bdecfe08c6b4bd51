"""The share rule: equal to plain loops, and not to be fooled by maps that paint too much."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation, gaussian_filter, generate_binary_structure, label
from scipy.special import expit
from share_restatement import msseg_by_loops, picai_by_loops, share_by_loops

from nnunetv2_sizepenalty.curves.froc_case import FrocRules, score_curve
from nnunetv2_sizepenalty.evaluation import formulas
from nnunetv2_sizepenalty.evaluation.challenge_detection import detect_by_msseg, detect_by_picai
from nnunetv2_sizepenalty.evaluation.matching import find_overlaps
from nnunetv2_sizepenalty.evaluation.protocols import SHARE, Protocol, Rule
from nnunetv2_sizepenalty.evaluation.share import ShareCounter, detect_by_share
from nnunetv2_sizepenalty.evaluation.share_check import Oversized, find_oversized
from nnunetv2_sizepenalty.lesions import SizeBins
from nnunetv2_sizepenalty.nnunet_io.thresholds import dense_thresholds

SPACING = (1.0, 1.0, 1.0)
SHAPE = (32, 48, 48)
THRESHOLDS = dense_thresholds(n=31)


def components(mask: np.ndarray) -> np.ndarray:
    """18-connected, in 2D 8-connected."""
    return label(mask, generate_binary_structure(mask.ndim, 2))[0]


def sweep(reference, probability, thresholds, spacing=SPACING, detection=SHARE, min_voxels=0):
    """What `froc` counts of one case: lesions, lesions detected and false positives at each threshold."""
    rules = FrocRules(Protocol("mine", detection=detection, min_voxels=min_voxels), SizeBins(), tuple(thresholds))
    curve = score_curve(np.asarray(probability, dtype=np.float32), reference > 0, spacing, rules, None)
    return curve.lesions[0], curve.detected[:, 0], curve.false_positives[:, 0]


def as_lists(detection) -> tuple[list[bool], list[bool]]:
    return detection.detected.tolist(), detection.false_positive.tolist()


# Equal to loops


def random_case(seed: int):
    """Reference labels, a map, increasing thresholds and a spacing; in every third reference lesions touch."""
    rng = np.random.default_rng(seed)
    ndim = 2 + seed % 2
    shape = tuple(rng.integers(4, 10 if ndim == 3 else 22, ndim))
    spacing = tuple(rng.choice([0.7, 1.0, 1.0, 1.0, 2.3, 5.0, 6.5], ndim))
    field = gaussian_filter(rng.normal(size=shape), rng.choice([0, 0.5, 0.7]))
    mask = field > np.quantile(field, rng.choice([0.7, 0.9, 0.95, 0.97, 1.0], p=[0.3, 0.2, 0.2, 0.25, 0.05]))
    reference = components(mask)
    if seed % 3 == 0:
        pieces = reference * 4 + (np.indices(shape) > 4).sum(axis=0)
        numbers = np.unique(pieces[mask])
        reference = np.where(mask, np.searchsorted(numbers, pieces) + 1, 0)
    score = gaussian_filter(rng.normal(size=shape), rng.choice([0, 0.5, 1]))
    score = score / score.std() + rng.choice([0, 1, 2]) * mask
    thresholds = np.quantile(score, np.sort(rng.choice([0, 0.2, 0.5, 0.7, 0.8, 0.9, 0.95, 1], 3, replace=False)))
    return reference, score.astype(np.float32), np.unique(thresholds.astype(np.float32)), spacing


@pytest.mark.parametrize("block", range(10))
def test_equals_loops(block):
    """500 pairs, alone and as the last of a nested series."""
    for seed in range(50 * block, 50 * block + 50):
        reference, score, thresholds, spacing = random_case(seed)
        series = ShareCounter(reference, spacing)
        for threshold in thresholds:
            prediction = components(score > threshold)
            expected = share_by_loops(reference, prediction, spacing)
            assert as_lists(detect_by_share(reference, prediction, spacing)) == expected, seed
            assert as_lists(series.count(prediction, prediction.max()).detect()) == expected, seed


def test_a_sweep_equals_its_thresholds_one_by_one():
    for seed in range(1, 60, 2):  # 3D
        reference, score, thresholds, spacing = random_case(seed)
        reference = components(reference > 0)
        score, thresholds = (expit(values).astype(np.float32) for values in (score, np.unique(thresholds)))
        _, found, false_positives = sweep(reference, score, thresholds, spacing, Rule("share", 0.2), min_voxels=2)
        for i, threshold in enumerate(thresholds):
            prediction = components(score > threshold)
            sizes = np.bincount(prediction.ravel())[1:]
            prediction = np.where(np.concatenate([[False], sizes >= 2])[prediction], prediction, 0)
            prediction = np.searchsorted(np.unique(prediction[prediction > 0]), prediction) + (prediction > 0)
            detected, false_positive = share_by_loops(reference, prediction, spacing, share=0.2)
            assert (found[i], false_positives[i]) == (sum(detected), sum(false_positive))


def test_a_voxel_between_two_lesions_goes_to_the_larger():
    """Whichever way the image is turned, whatever the numbers; of equal ones to the lower number."""
    reference, prediction = np.zeros((3, 3, 40), dtype=int), np.zeros((3, 3, 40), dtype=int)
    reference[1, 1, 3:5], reference[1, 1, 24] = 1, 2
    prediction[1, 1, 4:25] = 1
    # Voxel 14 is 10 away from both. 4 to 14 without 5, and 15 to 24 without 23.
    for turned in (slice(None), slice(None, None, -1)):
        for numbers in ([0, 1, 2], [0, 2, 1]):
            labels = np.array(numbers)[reference[..., turned]]
            predicted = ShareCounter(labels, SPACING).count(prediction[..., turned], 1).predicted
            assert predicted[np.array(numbers[1:]) - 1].tolist() == [10, 9]
    reference[1, 1, 3] = 0
    assert ShareCounter(reference, SPACING).count(prediction, 1).predicted.tolist() == [10, 9]
    assert ShareCounter(np.array([0, 2, 1])[reference], SPACING).count(prediction, 1).predicted.tolist() == [10, 9]


def test_a_lesion_inside_of_another_is_near_too():
    """Lesion 1 is a voxel whose neighbours along the axes are lesion 2; the component touches 1 and 3."""
    reference, prediction = np.zeros((7, 7, 12), dtype=int), np.zeros((7, 7, 12), dtype=int)
    reference[2:5, 3, 3] = reference[3, 2:5, 3] = reference[3, 3, 2:5] = 2
    reference[3, 3, 3], reference[2, 2, 10] = 1, 3
    prediction[3, 3, 3] = prediction[2, 2, 3:11] = 1
    # 3 to 6 are nearer to lesion 1, and 3, 4 and 9 are rim.
    assert ShareCounter(reference, SPACING).count(prediction, 1).predicted.tolist() == [3, 3]


# Maps


def place(rng: np.random.Generator, n: int, size: tuple[int, int, int], gap: int = 3) -> np.ndarray:
    """A mask of `n` cuboid lesions, at least `gap` voxels apart."""
    mask, placed = np.zeros(SHAPE, dtype=bool), 0
    while placed < n:
        start = [int(rng.integers(1, s - z - 1)) for s, z in zip(SHAPE, size, strict=True)]
        around = tuple(slice(max(a - gap, 0), a + z + gap) for a, z in zip(start, size, strict=True))
        if not mask[around].any():
            mask[tuple(slice(a, a + z) for a, z in zip(start, size, strict=True))] = True
            placed += 1
    return mask


@pytest.fixture(scope="module")
def masks() -> list[np.ndarray]:
    """Six cases of five lesions of a dozen voxels."""
    rng = np.random.default_rng(0)
    return [place(rng, 5, (2, 2, 3)) for _ in range(6)]


def average_precision(masks, maps, thresholds=THRESHOLDS) -> float:
    cases = [sweep(mask, probability, thresholds) for mask, probability in zip(masks, maps, strict=True)]
    return area(*(sum(of) for of in zip(*cases, strict=True)))


def area(lesions, detected, false_positives) -> float:
    precision = formulas.detection_precision(detected, false_positives).value
    return formulas.interpolated_area(formulas.sensitivity(detected, lesions).value, precision)


def dilated(mask: np.ndarray, steps: int) -> np.ndarray:
    return binary_dilation(mask, np.ones((3, 3, 3)), iterations=steps)


def test_a_constant_map(masks):
    assert average_precision(masks, [np.full(SHAPE, 0.5)] * 6) == 0


def test_an_empty_map(masks):
    assert average_precision(masks, [np.zeros(SHAPE)] * 6) == 0


def test_high_in_the_whole_brain(masks):
    brain = np.pad(np.full((26, 38, 38), 0.9), [(3, 3), (5, 5), (5, 5)], constant_values=0.01)
    assert average_precision(masks, [brain] * 6) == 0


@pytest.mark.parametrize("sigma", [0, 1, 2])
def test_noise(masks, sigma):
    rng = np.random.default_rng(1)
    maps = [gaussian_filter(rng.normal(size=SHAPE), sigma) for _ in masks]
    maps = [(np.argsort(np.argsort(noise, axis=None)) / noise.size).reshape(SHAPE) for noise in maps]
    thresholds = np.unique(np.float32(1 - np.geomspace(0.9, 1e-4, 100)))
    assert 0 < average_precision(masks, maps, thresholds) < 0.02


def test_a_tiling_by_blobs(masks):
    """Blobs of 27 voxels everywhere, each too small for its lesion's share to fall under a tenth."""
    tiles = np.full(SHAPE, 0.9)
    tiles[3::4] = tiles[:, 3::4] = tiles[:, :, 3::4] = 0
    assert 0 < average_precision(masks, [tiles] * 6) < 0.02


def test_the_truth(masks):
    assert average_precision(masks, [np.where(mask, 0.9, 0.001) for mask in masks]) == 1


def test_the_truth_dilated(masks):
    assert average_precision(masks, [dilated(mask, 1) * 0.9 for mask in masks]) == 1
    assert average_precision(masks, [dilated(mask, 5) * 0.9 for mask in masks]) == 0


@pytest.mark.parametrize("sigma", [0.5, 1, 1.5])
def test_the_truth_blurred(masks, sigma):
    assert average_precision(masks, [gaussian_filter(mask.astype(float), sigma) for mask in masks]) == 1


def test_a_model_that_finds_half():
    rng = np.random.default_rng(2)
    masks = [place(rng, 4, (2, 2, 3)) for _ in range(6)]
    assert average_precision(masks, [np.where(components(mask) % 2, 0.9, 0.001) for mask in masks]) == 0.5


def test_pieces_of_one_lesion_dont_make_up_for_false_positives():
    rng = np.random.default_rng(3)
    masks = [place(rng, 5, (4, 8, 8)) for _ in range(6)]
    whole, pieces = [], []
    for mask in masks:
        elsewhere = np.zeros(SHAPE)
        elsewhere[::8, ::8, ::8] = 0.9
        elsewhere[dilated(mask, 2)] = 0
        found = components(mask) == 1
        whole.append(np.maximum(elsewhere, found * 0.9))
        found[1::2] = found[:, 1::2] = found[:, :, 1::2] = False
        pieces.append(np.maximum(elsewhere, found * 0.9))
    assert average_precision(masks, pieces) == pytest.approx(average_precision(masks, whole))


# Single predictions


def ball(radius: float, centre=(16, 24, 24)) -> np.ndarray:
    return sum((a - c) ** 2 for a, c in zip(np.ogrid[:32, :48, :48], centre, strict=True)) <= radius**2


def test_a_halo_finds_the_large_lesion_and_no_satellite():
    large = ball(7)
    satellites = np.zeros(SHAPE, dtype=bool)
    for i in range(20):  # on a sphere, evenly (golden angle)
        z, angle = 1 - (2 * i + 1) / 20, i * np.pi * (3 - 5**0.5)
        direction = np.array([z, *(np.sqrt(1 - z * z) * np.array([np.cos(angle), np.sin(angle)]))])
        satellites[tuple(np.round(np.array([16, 24, 24]) + 12 * direction).astype(int))] = True
    reference = components(large | satellites)
    assert reference.max() == 21
    found = detect_by_share(reference, components(ball(15)), SPACING)
    assert np.flatnonzero(found.detected) + 1 == [reference[16, 24, 24]]
    assert not found.false_positive.any()


def test_the_core_of_a_large_lesion_and_its_pieces():
    reference = components(ball(6.2))
    prediction = ball(2.4)  # a seventeenth of the lesion
    pieces = np.zeros(SHAPE, dtype=bool)
    pieces[::3, ::3, ::3] = True
    prediction |= pieces & ball(6.2) & ~ball(4)
    prediction = components(prediction)
    assert prediction.max() > 20
    assert as_lists(detect_by_share(reference, prediction, SPACING)) == ([True], [False] * prediction.max())


def test_a_rim_around_a_lesion_of_one_voxel():
    reference = np.zeros((7, 7, 7), dtype=int)
    reference[3, 3, 3] = 1
    prediction = np.zeros_like(reference)
    prediction[2:5, 2:5, 2:5] = 1
    assert as_lists(detect_by_share(reference, prediction, SPACING)) == ([True], [False])
    prediction[3, 3, 3] = 0  # the rim alone touches nothing
    assert as_lists(detect_by_share(reference, prediction, SPACING)) == ([False], [True])
    prediction[1:6, 2:5, 2:5] = 1  # 18 voxels beyond the rim
    assert as_lists(detect_by_share(reference, prediction, SPACING)) == ([False], [True])


def test_two_lesions_joined_by_a_bridge():
    reference = np.zeros((5, 5, 30), dtype=int)
    reference[1:4, 1:4, 1:4], reference[1:4, 1:4, 26:29] = 1, 2
    prediction = (reference > 0).astype(int)
    prediction[2, 2, 1:29] = 1
    assert as_lists(detect_by_share(reference, prediction, SPACING)) == ([True, True], [False])


def test_the_nearest_lesion_is_the_nearest_in_mm():
    reference, prediction = np.zeros((3, 3, 24), dtype=int), np.zeros((3, 3, 24), dtype=int)
    reference[0, 1, 0], reference[2, 1, 23] = 1, 2
    prediction[:, 1, 0], prediction[2, 1] = 1, 1
    # Of the last slice, 0 to 11 are nearer to lesion 1 where slices are 1 mm apart, none where they are 40 mm apart.
    assert ShareCounter(reference, SPACING).count(prediction, 1).predicted.tolist() == [2 + 12 - 1, 12 - 1]
    assert ShareCounter(reference, (40.0, 1.0, 1.0)).count(prediction, 1).predicted.tolist() == [2 - 1, 24 - 1]


def test_no_lesion_and_no_prediction():
    nothing, something = np.zeros((4, 5, 6), dtype=int), np.ones((4, 5, 6), dtype=int)
    for rule in (detect_by_share, detect_by_picai, detect_by_msseg):
        assert as_lists(rule(nothing, nothing, SPACING)) == ([], [])
        assert as_lists(rule(nothing, something, SPACING)) == ([], [True])
        assert as_lists(rule(something, nothing, SPACING)) == ([False], [])
    lesions, detected, false_positives = sweep(nothing, something / 2, [0.1, 0.6])
    assert (lesions, detected.tolist(), false_positives.tolist()) == (0, [0, 0], [1, 0])


def test_interpolated_average_precision_by_hand():
    # Of 4 lesions: 1 at precision 1 / 2, 2 at 2 / 3, 3 at 3 / 30; then components merge.
    detected, false_positives = np.array([1, 2, 3, 1]), np.array([1, 1, 27, 0])
    assert area(4, detected, false_positives) == pytest.approx(0.25 + 0.25 * 2 / 3 + 0.025)


# A false positive never pays


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.floats(0.01, 0.99), min_size=1, max_size=4))
def test_a_disjoint_false_positive_never_raises_the_average_precision(seed, levels):
    rng = np.random.default_rng(seed)
    shape, thresholds = (6, 8, 30), np.linspace(0.05, 0.95, 19)
    reference = np.zeros(shape, dtype=int)
    reference[..., :16] = components(rng.random((6, 8, 16)) > 0.97)
    probability = np.zeros(shape, dtype=np.float32)
    probability[..., :16] = (
        gaussian_filter(rng.random((6, 8, 16)), 0.5) / 2 + rng.random() / 2 * (reference > 0)[..., :16]
    )
    before = sweep(reference, probability, thresholds)
    for i, level in enumerate(levels):
        probability[1:4, 1:4, 18 + 3 * i : 20 + 3 * i] = level
    after = sweep(reference, probability, thresholds)
    assert (after[1] == before[1]).all()
    assert after[2].sum() > before[2].sum() or max(levels) <= 0.05
    if reference.any():
        assert area(*after) <= area(*before)


# Beside it


def test_oversized_components():
    reference = np.zeros((6, 6, 40), dtype=int)
    reference[1, 1, 1:3], reference[1, 1, 9], reference[1, 1, 30] = 1, 2, 3
    prediction = np.zeros_like(reference)
    prediction[1, 1, 1:10], prediction[1, :, 25:31], prediction[4, :, :] = 1, 2, 3
    prediction[1, 1, 20] = 4
    # 9 voxels on lesions of 3; 36 on a lesion of 1; 240 and 1 that touch none; all lesions have 4.
    overlaps = find_overlaps(reference, prediction, np.array([2, 1, 1]), np.array([9, 36, 240, 1]))
    assert find_oversized(overlaps) == (Oversized(2, 1, 36.0), Oversized(3, 0, 60.0))
    assert find_oversized(overlaps, factor=60) == ()
    nothing = np.zeros_like(reference)
    assert find_oversized(find_overlaps(nothing, prediction, np.array([]), np.array([9, 36, 240, 1]))) == ()


@pytest.mark.parametrize("block", range(2))
def test_msseg_and_picai_equal_loops(block):
    compared = 0
    for seed in range(60 * block, 60 * block + 60):
        reference, score, thresholds, spacing = random_case(seed)
        for threshold in thresholds:
            prediction = components(score > threshold)
            found = detect_by_msseg(reference, prediction, spacing)
            assert as_lists(found) == msseg_by_loops(reference, prediction), seed
            if reference.max() < 8 and prediction.max() < 8:
                compared += 1
                found = detect_by_picai(reference, prediction, spacing)
                detected, false_positive = picai_by_loops(reference, prediction)
                # Of equally good assignments either may be taken.
                assert found.detected.sum() == sum(detected), seed
                assert found.false_positive.tolist() == false_positive, seed
    assert compared > 30


def test_msseg_by_hand():
    reference, prediction = np.zeros((1, 4, 40), dtype=int), np.zeros((1, 4, 40), dtype=int)
    reference[0, 0, :20], reference[0, 2, :10], reference[0, 2, 20:30] = 1, 2, 3
    prediction[0, 0, :2] = 1  # a tenth of 20: not more than alpha
    prediction[0, 2, 7:20] = 2  # 3 of 13 voxels inside: 77 % outside
    prediction[0, 2, 23:40] = 3  # 7 of 17 inside: 59 % outside
    found = detect_by_msseg(reference, prediction, SPACING)
    assert found.detected.tolist() == [False, False, True]
    # Component 1 lies in lesion 1, of which 90 % are outside of any component.
    assert found.false_positive.tolist() == [True, False, False]


def test_picai_is_one_to_one():
    reference, prediction = np.zeros((3, 3, 20), dtype=int), np.zeros((3, 3, 20), dtype=int)
    reference[1, 1, 1:6], reference[1, 1, 8:13] = 1, 2
    prediction[1, 1, 1:13] = 1
    found = detect_by_picai(reference, prediction, SPACING)
    assert (found.detected.sum(), found.false_positive.tolist()) == (1, [False])
    prediction[1, 1, 1:13], prediction[1, 1, 1:3], prediction[1, 1, 4:6] = 0, 1, 2
    found = detect_by_picai(reference, prediction, SPACING)
    assert as_lists(found) == ([True, False], [False, False])
