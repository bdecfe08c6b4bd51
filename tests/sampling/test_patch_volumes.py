"""Volumes in patches: those of nnU-Net's own loader, with the recipe's shares, the same for the same seed."""

import numpy as np
import pytest
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from preprocessed_masks import LABELS, blobs, preprocess_masks
from scipy.stats import binomtest

from nnunetv2_sizepenalty.sampling.patch_volumes import PatchKind, draw_patch_volumes, foreground_prior

THESIS = (PatchKind((8, 16, 16), 0.7, True, 0.8), PatchKind((4, 8, 8), 1.0, True, 0.2))
REGIONS = LabelManager({"background": 0, "whole": (1, 2), "core": (2,), "ignore": 3}, (1, 2))


@pytest.fixture
def dataset(tmp_path):
    cases = {f"case{n}": blobs(n, values=(1, 2, 3)) for n in range(3)}
    return preprocess_masks(tmp_path / "data", {**cases, "none": np.zeros((6, 12, 20))}, REGIONS)


def test_volumes_are_counted_in_the_patch_that_nnunet_would_cut(dataset):
    volumes = draw_patch_volumes(dataset, THESIS, REGIONS, 2, per_case=30, seed=1)
    assert volumes.voxels.shape == (120, 2)
    for row in range(120):
        size = THESIS[volumes.kind[row]].size
        labels = np.asarray(dataset.load_case(dataset.identifiers[volumes.case[row]])[1][0])
        padded = np.pad(labels, 20)
        low = volumes.corner[row] + 20
        patch = padded[tuple(slice(a, a + n) for a, n in zip(low, size, strict=True))]
        assert patch.shape == size
        assert list(volumes.voxels[row]) == [np.isin(patch, (1, 2)).sum(), (patch == 2).sum()]
        assert volumes.valid[row] == (patch != 3).sum()
    assert (volumes.corner < 0).any(), "no patch reaches outside its image"


def test_the_same_places_as_nnunets_own_batches(tmp_path):
    dataset = preprocess_masks(tmp_path / "data", {"one": (labels := blobs(4))})
    (kind,) = kinds = (PatchKind((8, 16, 16), 0.33, False),)
    ours = draw_patch_volumes(dataset, kinds, LABELS, 2, per_case=4000, seed=0)
    loader = nnUNetDataLoader(dataset, 2, kind.size, kind.size, LABELS, oversample_foreground_percent=0.33)
    locations = dataset.load_case("one")[3]["class_locations"]
    np.random.seed(0)
    forced, free = [], []
    for _ in range(2000):
        for place in range(2):
            low, high = loader.get_bbox((12, 40, 40), loader.get_do_oversample(place), locations)
            patch = labels[tuple(slice(max(a, 0), b) for a, b in zip(low, high, strict=True))]
            (forced if place else free).append(patch.sum())
    assert ours.forced.mean() == 0.5, "nnU-Net rounds 0.33 of two patches to one"
    for drawn, expected in ((ours.voxels[ours.forced, 0], forced), (ours.voxels[~ours.forced, 0], free)):
        error = np.sqrt(np.var(drawn) / len(drawn) + np.var(expected) / len(expected))
        assert abs(drawn.mean() - np.mean(expected)) < 3.3 * error


def test_shares_of_kinds_and_of_forced_patches(dataset):
    volumes = draw_patch_volumes(dataset, THESIS, REGIONS, 2, per_case=500, seed=2)
    small = volumes.kind == 1
    assert binomtest(int(small.sum()), len(small), 0.2).pvalue > 0.01
    assert volumes.forced[small].all()
    assert binomtest(int(volumes.forced[~small].sum()), int((~small).sum()), 0.7).pvalue > 0.01
    has_foreground = volumes.voxels[:, 0] > 0
    lesions = volumes.case < 3
    assert has_foreground[volumes.forced & lesions].all()
    assert not has_foreground[~lesions].any()


def test_the_same_seed_the_same_patches_and_numpys_stream_untouched(dataset):
    np.random.seed(5)
    expected = np.random.uniform()
    np.random.seed(5)
    first, same, other = (draw_patch_volumes(dataset, THESIS, REGIONS, 2, per_case=5, seed=s) for s in (1, 1, 2))
    assert np.random.uniform() == expected
    np.testing.assert_array_equal(first.voxels, same.voxels)
    np.testing.assert_array_equal(first.corner, same.corner)
    assert not np.array_equal(first.corner, other.corner)


def test_2d_patches_of_one_slice(tmp_path):
    labels = blobs(3)
    dataset = preprocess_masks(tmp_path / "data", {"a": labels})
    volumes = draw_patch_volumes(dataset, (PatchKind((40, 40), 1.0, True),), LABELS, 3, per_case=50)
    by_slice = labels.sum(axis=(1, 2))
    inside = [labels[z, max(y, 0) : y + 40, max(x, 0) : x + 40].sum() for z, y, x in volumes.corner]
    assert list(volumes.voxels[:, 0]) == inside
    assert set(volumes.corner[:, 0]) <= set(np.flatnonzero(by_slice))


def test_prior_is_the_mean_share_of_valid_voxels(tmp_path):
    labels = np.zeros((4, 4, 4), np.int16)
    labels[0, 0] = (1, 2, 2, 3)
    labels[1:] = 3
    dataset = preprocess_masks(tmp_path / "data", {"a": labels, "none": np.zeros((4, 4, 4))}, REGIONS)
    volumes = draw_patch_volumes(dataset, (PatchKind((4, 4, 4), 0.0, True),), REGIONS, 2, per_case=1)
    np.testing.assert_allclose(foreground_prior(volumes), [3 / 15 / 2, 2 / 15 / 2])
