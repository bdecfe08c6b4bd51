"""Surfaces against scipy's erosion, distances against all pairs of voxels."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import cdist

from nnunetv2_sizepenalty.evaluation import surfaces
from nnunetv2_sizepenalty.evaluation.instances import find_instances
from nnunetv2_sizepenalty.evaluation.protocols import Protocol

SPACINGS = {2: (0.7, 1.3), 3: (3.0, 0.6, 1.1)}


def random_instances(ndim, seed):
    mask = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(14,) * ndim), 1.5) > 0.08
    return find_instances(np.pad(mask, 1), SPACINGS[ndim], Protocol(), is_reference=True)


@pytest.mark.parametrize("ndim", [2, 3])
def test_the_surface_is_the_mask_without_its_erosion(ndim):
    instances = random_instances(ndim, 0)
    mask = instances.labels != 0
    surface = surfaces.extract_surface(instances, SPACINGS[ndim])
    expected = mask ^ ndimage.binary_erosion(mask)
    assert 0 < expected.sum() < mask.sum()
    np.testing.assert_array_equal(surface.index, np.flatnonzero(expected))
    np.testing.assert_allclose(surface.points, np.argwhere(expected) * SPACINGS[ndim])
    np.testing.assert_array_equal(surface.lesion, instances.labels[expected])


@pytest.mark.parametrize("ndim", [2, 3])
def test_distances_are_the_smallest_over_all_voxels(ndim):
    a, b = (surfaces.extract_surface(random_instances(ndim, seed), SPACINGS[ndim]) for seed in (1, 2))
    every = cdist(a.points, b.points)
    found = surfaces.distances(a, b)
    np.testing.assert_allclose(found.mm, every.min(axis=1), atol=1e-12)
    np.testing.assert_allclose(every[np.arange(len(a)), found.nearest], every.min(axis=1), atol=1e-12)
    # Both lists hold voxels of both surfaces, where the distance is 0, and others.
    assert 0 < np.count_nonzero(found.mm == 0) < len(a)


def test_a_pairs_distance_looks_at_that_pair_alone():
    reference, prediction = random_instances(3, 3), random_instances(3, 4)
    a, b = (surfaces.extract_surface(i, SPACINGS[3]) for i in (reference, prediction))
    pairs = np.array([1, 2]), np.array([2, 1])  # any lesions, near each other or not
    whole = surfaces.distances(a, b), surfaces.distances(b, a)
    found = surfaces.masd_of_pairs(a, b, *whole, pairs)
    for value, r, p in zip(found, *pairs, strict=True):
        every = cdist(a.points[a.lesion == r], b.points[b.lesion == p])
        assert value == pytest.approx((every.min(axis=1).mean() + every.min(axis=0).mean()) / 2, abs=1e-12)
    assert surfaces.masd_of_pairs(a, b, *whole, (np.empty(0, int), np.empty(0, int))).shape == (0,)
