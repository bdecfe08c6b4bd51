"""What a voxel measures, for any matrix."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nnunetv2_sizepenalty.lesions import PX, Spacing, size_of, voxel_volume_mm3, voxels_to_ml

matrices = arrays(float, (3, 3), elements=st.floats(-3, 3, width=32))


@settings(derandomize=True, deadline=None)
@given(matrices)
def test_a_voxel_is_the_parallelepiped_of_its_axes(matrix):
    steps = np.linalg.norm(matrix, axis=0)[::-1]
    a, b, c = matrix.T
    volume = abs(np.dot(np.cross(a, b), c))
    assert voxel_volume_mm3(Spacing(steps, matrix=matrix)) == pytest.approx(volume, rel=2e-4, abs=1e-6)
    area = np.linalg.norm(np.cross(a, b))
    assert voxel_volume_mm3(Spacing(steps[1:], matrix=matrix)) == pytest.approx(area, rel=2e-4, abs=1e-6)


def test_plain_numbers_are_boxes_in_ml():
    assert voxel_volume_mm3((0.9, 0.8, 6)) == voxel_volume_mm3(Spacing((0.9, 0.8, 6))) == 0.9 * 0.8 * 6
    assert size_of(100, (0.9, 0.8, 6)) == voxels_to_ml(100, (0.9, 0.8, 6))


def test_pixels_stay_pixels_in_another_process():
    spacing = pickle.loads(pickle.dumps(Spacing((1, 2, 2), unit=PX, matrix=np.diag([2, 1, 1]))))
    assert (spacing, spacing.unit, size_of(3, spacing)) == ((1, 2, 2), PX, 6)
