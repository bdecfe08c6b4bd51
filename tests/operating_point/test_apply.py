"""Label maps cut from probabilities."""

import cc3d
import numpy as np
import pytest
from operating_point_data import NESTED, REGIONS, SOFTMAX, softmax_of
from scipy.ndimage import gaussian_filter

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.classes import read_labels
from nnunetv2_sizepenalty.operating_point.apply import cut_probabilities
from nnunetv2_sizepenalty.operating_point.grid import Cut

THREE = {"labels": {"background": 0, "b": 2, "a": 1}}
SPACING_MM = (3.0, 1.0, 1.0)


def random_probabilities(seed: int, channels: int, shape=(6, 20, 20)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    fields = [gaussian_filter(rng.normal(size=shape), 0.9) for _ in range(channels)]
    return (1 / (1 + np.exp(-12 * np.stack(fields)))).astype(np.float32)


def cut(probabilities, dataset, **cuts) -> np.ndarray:
    return cut_probabilities(probabilities, read_labels(dataset), cuts, spacing_mm=SPACING_MM)


def test_a_voxel_at_the_threshold_stays_background():
    probability = np.array([[[0.3, 0.30001, 0.9, 0.1]]], np.float32)
    assert cut(softmax_of(probability), SOFTMAX, lesion=Cut(0.3)).tolist() == [[[0, 1, 1, 0]]]


@pytest.mark.parametrize("seed", range(20))
def test_the_filter_is_what_stock_postprocessing_does_to_the_painted_map(seed):
    probabilities = random_probabilities(seed, 2)
    painted = cut(probabilities, REGIONS, core=Cut(0.6), rim=Cut(0.3))
    filtered = cut(probabilities, REGIONS, core=Cut(0.6, 5), rim=Cut(0.3, 5))
    # stock postprocessing reads label maps as float32
    assert (filtered == cc3d.dust(painted.astype(np.float32), threshold=5, connectivity=18)).all()
    assert (filtered != painted).any()


def test_regions_are_painted_in_their_order_each_at_its_own_threshold():
    probabilities = np.array([[[[0.9, 0.9, 0.2, 0.2]]], [[[0.7, 0.4, 0.7, 0.4]]]], np.float32)
    assert cut(probabilities, NESTED, whole=Cut(0.5), core=Cut(0.6)).tolist() == [[[2, 1, 2, 0]]]
    assert cut(probabilities, NESTED, whole=Cut(0.1), core=Cut(0.8)).tolist() == [[[1, 1, 1, 1]]]


def test_a_small_part_of_an_overlapping_region_falls_back_to_the_region_around_it():
    probabilities = np.zeros((2, 1, 6, 6), np.float32)
    probabilities[0, 0, :5, :5] = 0.9
    probabilities[1, 0, 2, 1:4] = 0.9  # cuts the whole in two, were it filtered after painting
    painted = cut(probabilities, NESTED, whole=Cut(0.5, 20), core=Cut(0.5, 4))
    assert (painted == 1).sum() == 25
    assert not (painted == 2).any()


def test_of_several_softmax_classes_the_one_furthest_above_its_threshold_wins():
    # channels are sorted by label: background, a (1), b (2)
    probabilities = np.array([[0.2, 0.1, 0.4, 0.8], [0.4, 0.3, 0.3, 0.1], [0.4, 0.6, 0.3, 0.1]], np.float32)
    probabilities = probabilities[:, None, None]
    assert cut(probabilities, THREE, a=Cut(0.3), b=Cut(0.35)).tolist() == [[[1, 2, 0, 0]]]
    assert cut(probabilities, THREE, a=Cut(0.35), b=Cut(0.3)).tolist() == [[[2, 2, 0, 0]]]
    assert cut(probabilities, THREE, a=Cut(0.5), b=Cut(0.5)).tolist() == [[[0, 2, 0, 0]]]


def test_sizes_in_cubic_millimetres():
    probability = np.zeros((1, 4, 8), np.float32)
    probability[0, 0, :4] = probability[0, 2, :3] = 0.9
    labels, cuts = read_labels(SOFTMAX), {"lesion": Cut(0.5, 12.0)}
    found = cut_probabilities(softmax_of(probability), labels, cuts, spacing_mm=SPACING_MM, unit="mm3")
    assert found[0, 0, :4].all()
    assert not found[0, 2].any()


def test_labels_are_those_of_nnunet():
    assert [(t.name, t.channel, t.values, t.painted) for t in read_labels(THREE).foreground] == [
        ("b", 2, (2,), 2),
        ("a", 1, (1,), 1),
    ]
    nested = read_labels({"labels": {**NESTED["labels"], "ignore": 3}, "regions_class_order": [1, 2]})
    assert [(t.name, t.channel, t.values, t.painted) for t in nested.foreground] == [
        ("whole", 0, (1, 2), 1),
        ("core", 1, (2,), 2),
    ]
    assert (nested.overlapping, nested.ignore, nested.n_channels) == (True, 3, 2)
    assert not read_labels(REGIONS).overlapping
    # nnU-Net reads a list of one as a plain label
    assert read_labels({"labels": {"background": 0, "lesion": [1]}}).n_channels == 2
    with pytest.raises(UserError, match="it has whole, core"):
        nested.named(["rim"])
