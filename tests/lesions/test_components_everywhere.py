"""Components of masks of any shape, against scipy's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from nnunetv2_sizepenalty.lesions import component_voxels, label_components, remove_small_components

# connectivity -> how many axes two neighbours may differ in
AXES = {2: {4: 1, 8: 2}, 3: {6: 1, 18: 2, 26: 3}}


@st.composite
def masks(draw, ndim: int) -> np.ndarray:
    """Boolean, sides odd and even, 1 included, in either order in memory, thinly or densely filled."""
    shape = draw(st.tuples(*[st.integers(1, 17 if ndim == 2 else 7)] * ndim))
    seed, density = draw(st.integers(0, 2**32 - 1)), draw(st.floats(0, 1))
    drawn = np.random.default_rng(seed).random(shape) < density
    mask = draw(st.one_of(st.just(drawn), arrays(bool, shape)))
    return np.asfortranarray(mask) if draw(st.booleans()) else mask


def agree_with_scipy(mask: np.ndarray, connectivity: int) -> None:
    structure = ndimage.generate_binary_structure(mask.ndim, AXES[mask.ndim][connectivity])
    theirs, expected = ndimage.label(mask, structure)
    ours, n = label_components(mask, connectivity)
    assert n == expected
    np.testing.assert_array_equal(ours != 0, mask)
    pairs = np.unique(np.stack([ours[mask], theirs[mask]]), axis=1)
    assert pairs.shape[1] == n  # each of ours is one of theirs
    assert component_voxels(ours, n).sum() == mask.sum()


@settings(derandomize=True, deadline=None, max_examples=400)
@given(masks(2), st.sampled_from([4, 8]))
def test_components_in_2d(mask, connectivity):
    agree_with_scipy(mask, connectivity)


@settings(derandomize=True, deadline=None, max_examples=400)
@given(masks(3), st.sampled_from([6, 18, 26]))
def test_components_in_3d(mask, connectivity):
    agree_with_scipy(mask, connectivity)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.one_of(masks(2), masks(3)))
def test_a_filter_of_one_voxel_keeps_a_mask_as_it_is(mask):
    np.testing.assert_array_equal(remove_small_components(mask, 1), mask)


@pytest.mark.parametrize("shape", [(7, 1, 1), (1, 7, 1), (1, 1, 7)])
def test_a_single_row_of_voxels(shape):
    agree_with_scipy(np.reshape([1, 0, 1, 0, 1, 1, 0], shape) == 1, 26)
