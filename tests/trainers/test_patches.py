"""Patches: cases counted exactly, sizes and places drawn with the given shares, the same ones in every run."""

from collections import Counter

import numpy as np
import pytest
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from scipy.stats import binom

from nnunetv2_sizepenalty.trainers.augmentation import thesis_transforms
from nnunetv2_sizepenalty.trainers.loaders import SeededLoader, start
from nnunetv2_sizepenalty.trainers.patches import BatchSampler, SmallPatches, TwoSizeLoader

# workers that are stopped in the middle of a batch
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")

LARGE, SMALL = (4, 8, 8), (4, 4, 4)


class InMemoryDataset:
    """Noise with one labelled voxel a case, in the manner of nnUNetBaseDataset."""

    def __init__(self, n_cases, shape):
        generator = np.random.default_rng(0)
        self.identifiers = [f"case{n:03d}" for n in range(n_cases)]
        self.images = {}
        for case in self.identifiers:
            image = generator.normal(size=(1, *shape)).astype(np.float32)
            labels = np.zeros_like(image, dtype=np.int16)
            voxel = tuple(generator.integers(side // 3, 2 * side // 3) for side in shape)
            labels[(0, *voxel)] = 1
            self.images[case] = image, labels, None, {"class_locations": {1: np.array([[0, *voxel]])}}

    def load_case(self, identifier):
        return self.images[identifier]


def nnunets_loader(dataset, patch_size, foreground, batch_size=2, transforms=None):
    return nnUNetDataLoader(
        dataset,
        batch_size,
        patch_size,
        patch_size,
        LabelManager({"background": 0, "lesion": 1}, None),
        oversample_foreground_percent=foreground,
        probabilistic_oversampling=True,
        transforms=transforms,
    )


def two_size_loader(
    n_cases=6, shape=(12, 16, 16), first=0, batch_size=2, small_probability=0.2, augmented=False, entropy=(5, 0)
):
    dataset = InMemoryDataset(n_cases, shape)
    large, small = (
        nnunets_loader(
            dataset,
            size,
            foreground,
            batch_size,
            ComposeTransforms(thesis_transforms(size, False, (0, 1, 2), None)) if augmented else None,
        )
        for size, foreground in ((LARGE, 0.7), (SMALL, 1.0))
    )
    sampler = BatchSampler(tuple(dataset.identifiers), batch_size, small_probability, entropy)
    return TwoSizeLoader(large, small, sampler, slice(0, batch_size), (*entropy, 0), first)


def take(loader, processes, n):
    """The first n batches as NumPy arrays, of a loader started with that many workers."""
    started = start(loader, processes, cached=2, pin_memory=False)
    batches = [next(started) for _ in range(n)]
    if processes:
        started._finish()
    return [(batch["data"].numpy(), batch["target"].numpy(), list(batch["keys"])) for batch in batches]


def assert_same(batches, others):
    assert len(batches) == len(others)
    for (data, target, keys), (other_data, other_target, other_keys) in zip(batches, others, strict=True):
        np.testing.assert_array_equal(data, other_data)
        np.testing.assert_array_equal(target, other_target)
        assert keys == other_keys


@pytest.mark.parametrize(
    ("n_cases", "batch_size"), [(148, 18), (9, 18), (1, 18), (6, 2), (7, 3)], ids=lambda value: str(value)
)
def test_every_case_comes_ten_times_an_epoch_up_to_the_last_batch(n_cases, batch_size):
    sampler = BatchSampler(tuple(map(str, range(n_cases))), batch_size, 0.2, (0, 0))
    filled = -10 * n_cases % batch_size
    for epoch in range(3):
        indices, small = sampler.epoch(epoch)
        assert indices.shape == (sampler.batches, batch_size)
        assert small.shape == (sampler.batches,)
        counts = np.bincount(indices.ravel(), minlength=n_cases)
        assert counts.sum() == 10 * n_cases + filled
        assert counts.min() >= 10
        assert counts.max() - counts.min() <= 1


def test_epochs_and_streams_are_sampled_differently():
    sampled = [
        BatchSampler(tuple("abcdefgh"), 4, 0.2, (0, stream)).epoch(epoch)[0] for stream in (0, 1) for epoch in (0, 1)
    ]
    assert len({cases.tobytes() for cases in sampled}) == 4


def test_shares_of_processes_make_up_the_batch():
    whole = two_size_loader()
    parts = [two_size_loader() for _ in range(2)]
    for rank, part in enumerate(parts):
        part.share = slice(rank, rank + 1)
        part.loader.batch_size = part.small.batch_size = 1
    for number in range(20):
        batch, *shares = (loader.make(number) for loader in (whole, *parts))
        assert [key for share in shares for key in share["keys"]] == batch["keys"]
        assert {share["data"].shape[2:] for share in shares} == {batch["data"].shape[2:]}


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_each_case_is_drawn_ten_times_whatever_the_workers(processes):
    batches = take(two_size_loader(n_cases=7), processes, 35)
    assert Counter(key for _, _, keys in batches for key in keys) == {f"case{n:03d}": 10 for n in range(7)}


def test_first_ten_batches_are_the_same_in_two_runs_and_with_any_number_of_workers():
    expected = take(two_size_loader(augmented=True), 0, 10)
    assert {data.shape[2:] for data, _, _ in expected} == {LARGE, SMALL}
    for processes in (0, 2, 2, 3):
        assert_same(take(two_size_loader(augmented=True), processes, 10), expected)


def test_another_seed_gives_other_batches():
    one, other = take(two_size_loader(), 0, 1), take(two_size_loader(entropy=(6, 0)), 0, 1)
    assert one[0][0].shape != other[0][0].shape or not np.array_equal(one[0][0], other[0][0])


@pytest.mark.parametrize("processes", [0, 2])
def test_a_run_that_goes_on_gets_the_batches_that_it_would_have_got(processes):
    expected = take(two_size_loader(augmented=True), 0, 40)
    assert_same(take(two_size_loader(augmented=True, first=33), processes, 7), expected[33:])


def test_nnunets_own_sampling_is_the_same_whatever_the_workers_too():
    def loader(first=0):
        return SeededLoader(nnunets_loader(InMemoryDataset(6, (12, 16, 16)), LARGE, 0.33), (1, 0), first)

    expected = take(loader(), 0, 6)
    assert_same(take(loader(), 2, 6), expected)
    assert_same(take(loader(4), 2, 2), expected[4:])


def assert_share(count, n, share):
    """Within the 99 % interval of a binomial."""
    low, high = binom.interval(0.99, n, share)
    assert low <= count <= high, (count, n, share)


def test_share_of_small_batches():
    sampler = BatchSampler(tuple(map(str, range(100))), 10, 0.2, (3, 0))
    small = np.concatenate([sampler.epoch(epoch)[1] for epoch in range(20)])
    assert small.size == 2000
    assert_share(small.sum(), 2000, 0.2)


@pytest.mark.parametrize(("small", "share"), [(False, 0.7), (True, 1.0)], ids=["large", "small"])
def test_share_of_patches_forced_onto_a_lesion(small, share):
    # in 48 x 96 x 96 voxels hardly a patch meets the one labelled voxel by chance
    loader = two_size_loader(n_cases=20, shape=(48, 96, 96), batch_size=100, small_probability=float(small))
    with_lesion = sum(int((target > 0).sum()) for _, target, _ in take(loader, 0, 20))
    assert np.prod(LARGE) / np.prod((45, 89, 89)) < 1e-3
    assert_share(with_lesion, 2000, share)


def test_a_plan_that_is_not_ours_has_no_small_patches():
    assert SmallPatches.of({"patch_size": [8, 8, 8]}) is None
    planned = {"size_penalty": {"small_patch_size": [32, 64, 64], "small_patch_probability": 0.2}}
    assert SmallPatches.of(planned) == SmallPatches((32, 64, 64), 0.2)
