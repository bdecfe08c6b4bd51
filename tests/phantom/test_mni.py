"""The MNI152 anatomy against places whose tissue is known."""

import numpy as np
import pytest

from nnunetv2_sizepenalty.phantom import generate_case
from nnunetv2_sizepenalty.phantom.mni import MniAnatomy


def at(*points):
    return MniAnatomy().maps(np.array(points, np.float32).T)


@pytest.mark.parametrize(
    ("place", "tissue"),
    [
        ((0, -35, 10), "white"),  # splenium
        ((26, -30, 28), "white"),  # corona radiata
        ((-24, 10, -2), "grey"),  # putamen
        ((12, 8, 14), "grey"),  # caudate
        ((-8, 8, 18), "csf"),  # lateral ventricle
        ((0, -46, -32), "csf"),  # fourth ventricle
    ],
    ids=["splenium", "corona radiata", "putamen", "caudate", "lateral ventricle", "fourth ventricle"],
)
def test_tissue_by_place(place, tissue):
    maps = at(place)
    assert getattr(maps, tissue).item() > 0.6
    assert maps.brain.item() == 1


def test_outside_there_is_nothing():
    maps = at((0, 0, 100), (150, 0, 0), (0, -18, -400))
    assert not maps.brain.any()
    assert not (maps.white + maps.grey + maps.csf).any()


def test_maps_are_shares_on_any_shape_of_points():
    points = np.random.default_rng(0).uniform(-100, 100, (3, 7, 8, 9)).astype(np.float32)
    maps = MniAnatomy().maps(points)
    for share in (maps.white, maps.grey, maps.brain, maps.csf):
        assert share.shape == (7, 8, 9)
        assert share.dtype == np.float32
        assert share.min() >= 0
        assert share.max() <= 1
    assert (maps.white + maps.grey <= maps.brain + 1e-6).all()


def test_a_case_looks_like_a_brain():
    case = generate_case(0, 1, (48, 64, 64), (3, 3, 3), anatomy=MniAnatomy())
    brain = case.dwi > 0
    assert 1000 < brain.sum() * 0.027 < 2000  # mL
    assert 0.65 < np.percentile(case.adc[brain], 25) < 0.85
    assert 0.02 < (case.adc[brain] > 2.5).mean() < 0.15
    assert not case.mask[~brain].any()
