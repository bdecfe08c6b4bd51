"""`_shifted`: what a forced patch must hold lies anywhere in the patch that the network gets, never outside of it."""

import pickle

import numpy as np
import pytest
import torch
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from preprocessed_masks import blobs, preprocess_masks
from scipy.stats import binomtest, chisquare

from nnunetv2_sizepenalty.lesions import label_components
from nnunetv2_sizepenalty.sampling.patch_volumes import PatchKind, draw_patch_volumes
from nnunetv2_sizepenalty.sampling.shifted import place_forced_patches

CLASSES = LabelManager({"background": 0, "lesion": 1, "old": 2}, None)
IGNORING = LabelManager({"background": 0, "lesion": 1, "ignore": 2}, None)


class Cases:
    """Label maps in memory in the manner of nnUNetBaseDataset, the image being the labels."""

    def __init__(self, *maps: np.ndarray):
        self.maps = dict(enumerate(maps))
        self.identifiers = list(self.maps)

    def load_case(self, identifier):
        labels = self.maps[identifier][None]
        locations = {label: np.argwhere(labels == label) for label in (1, 2)}
        return labels.astype(np.float32), labels.astype(np.int16), None, {"class_locations": locations}


class WholeCrop(SpatialTransform):
    """nnU-Net's crop of the middle, without rotation."""

    def __init__(self, patch_size):
        super().__init__(patch_size, patch_center_dist_from_border=0, random_crop=False, padding_value_seg=-1)


def loader(labels, patch_size, cut=None, held="voxel"):
    """nnU-Net's loader, which cuts `cut` for a patch of `patch_size`; all patches are forced."""
    options = {"transforms": None if cut is None else WholeCrop(patch_size), "probabilistic_oversampling": True}
    made = nnUNetDataLoader(Cases(labels), 1, cut or patch_size, patch_size, CLASSES, 1.0, **options)
    return place_forced_patches(made, held)


def one_voxel(shape, voxel, label=1):
    labels = np.zeros(shape, np.int16)
    labels[voxel] = label
    return labels


def positions(made, n):
    """Where the labelled voxel lies in n patches; (n, axes). Fails where a patch lacks it."""
    found = [np.argwhere(next(made)["target"][0, 0].numpy() > 0) for _ in range(n)]
    assert [len(voxels) for voxels in found] == [1] * n
    return np.concatenate(found)


@pytest.mark.parametrize("cut", [None, (6, 11, 12), (7, 12, 9)], ids=str)
def test_the_voxel_lies_anywhere_in_the_patch_with_the_same_probability(cut):
    np.random.seed(0)
    made = loader(one_voxel((20, 30, 30), (9, 14, 15)), (4, 7, 8), cut)
    for along, side in zip(positions(made, 800).T, (4, 7, 8), strict=True):
        assert chisquare(np.bincount(along, minlength=side)).pvalue > 0.001


def test_in_nnunets_patch_it_lies_at_the_centre():
    made = loader(one_voxel((20, 30, 30), (9, 14, 15)), (4, 7, 8), held=None)
    assert (positions(made, 20) == (2, 3, 4)).all()


@pytest.mark.parametrize("voxel", [(0, 0, 0), (19, 29, 29), (1, 28, 15)], ids=str)
@pytest.mark.parametrize("cut", [None, (7, 11, 12)], ids=str)
def test_a_patch_stays_within_the_image_at_both_borders(voxel, cut):
    np.random.seed(0)
    patch, shape = (4, 7, 8), (20, 30, 30)
    made = loader(one_voxel(shape, voxel), patch, cut)
    for place, side, size, along in zip(voxel, shape, patch, positions(made, 300).T, strict=True):
        # of the patches within the image each that holds the voxel
        assert set(along) == {place - low for low in range(side - size + 1) if 0 <= place - low < size}


def test_an_image_that_is_smaller_than_the_patch_lies_in_it_whole():
    np.random.seed(0)
    labels = np.ones((3, 5, 30), np.int16)
    made = loader(labels, (4, 8, 8))
    for _ in range(50):
        target = next(made)["target"][0, 0]
        assert target.gt(0).sum() == 3 * 5 * 8


def test_2d_slices():
    np.random.seed(0)
    labels = one_voxel((5, 40, 40), (2, 20, 3))
    made = loader(labels, (8, 8), (11, 12))
    along_y, along_x = positions(made, 600).T
    assert chisquare(np.bincount(along_y, minlength=8)).pvalue > 0.001
    assert set(along_x) == {0, 1, 2, 3}


def test_a_lesion_is_held_whole_where_it_fits_and_else_its_voxel():
    np.random.seed(0)
    labels = np.zeros((20, 40, 40), np.int16)
    labels[8:11, 12:16, 20:26] = 1
    made = loader(labels, (4, 8, 8), held="lesion")
    starts = set()
    for _ in range(300):
        target = next(made)["target"][0, 0].numpy()
        assert target.sum() == 3 * 4 * 6
        starts.add(tuple(np.argwhere(target)[0]))
    assert starts == {(z, y, x) for z in range(2) for y in range(5) for x in range(3)}
    labels[2:16, 12:16, 20:26] = 1
    made = loader(labels, (4, 8, 8), held="lesion")
    for _ in range(50):
        assert 1 <= next(made)["target"][0, 0].amax((1, 2)).sum() <= 4


def test_a_lesion_of_several_slices_is_held_whole_within_the_slice():
    np.random.seed(0)
    labels = np.zeros((4, 40, 40), np.int16)
    labels[1, 10:13, 10:13] = labels[2, 12:30, 12:30] = 1
    made = loader(labels, (6, 6), held="lesion")
    filled = {1: [], 2: []}
    for _ in range(500):
        low, high = made.get_bbox(labels.shape, True, {1: np.argwhere(labels[None] == 1)})
        filled[low[0]].append(labels[tuple(map(slice, low, high))].sum())
    assert set(filled[1]) == {9}
    assert min(filled[2]) < 36
    assert min(filled[2]) > 0


def test_every_class_and_voxel_is_drawn_as_by_nnunet():
    labels = blobs(3, values=(1, 2))
    kind = PatchKind((1, 1, 1), 1.0, True, held="voxel")
    corners = draw_patch_volumes(Cases(labels), (kind,), CLASSES, 1, per_case=5000).corner
    drawn = labels[tuple(corners.T)]
    assert set(drawn) == {1, 2}
    assert binomtest(int((drawn == 1).sum()), 5000, 0.5).pvalue > 0.001
    for label in (1, 2):
        counts = np.bincount(np.ravel_multi_index(corners[drawn == label].T, labels.shape), minlength=labels.size)
        assert chisquare(counts[labels.ravel() == label]).pvalue > 0.001


@pytest.mark.parametrize("manager", [CLASSES, IGNORING], ids=["classes", "ignore"])
def test_free_patches_and_cases_without_foreground_are_nnunets(tmp_path, manager):
    cases = {"none": np.zeros((12, 40, 40)), "some": blobs(2)}
    dataset = preprocess_masks(tmp_path / "data", cases, manager)
    corners = [
        draw_patch_volumes(dataset, (PatchKind((4, 8, 8), 0.0, True, held=held),), manager, 2, per_case=50).corner
        for held in (None, "voxel")
    ]
    np.testing.assert_array_equal(*corners)
    if not manager.has_ignore_label:
        none = preprocess_masks(tmp_path / "none", {"none": cases["none"]}, manager)
        forced = [
            draw_patch_volumes(none, (PatchKind((4, 8, 8), 1.0, True, held=held),), manager, 2, per_case=50).corner
            for held in (None, "voxel")
        ]
        np.testing.assert_array_equal(*forced)


def test_volumes_in_patches_are_those_of_shifted_patches():
    labels = np.zeros((30, 30, 30), np.int16)
    labels[14:17, 14:17, 14:17] = 1
    whole, voxel, centred = (
        draw_patch_volumes(Cases(labels), (PatchKind((5, 5, 5), 1.0, True, held=held),), CLASSES, 1, per_case=500)
        for held in ("lesion", "voxel", None)
    )
    assert (whole.voxels[:, 0] == 27).all()
    assert (centred.voxels[:, 0] == 27).all()
    assert voxel.voxels[:, 0].min() < 27
    assert len(np.unique(whole.corner, axis=0)) == 27


def test_real_lesions_lie_off_the_centre(tmp_path):
    labels = blobs(5, threshold=0.8)
    components, n = label_components(labels)
    dataset = preprocess_masks(tmp_path / "data", {"a": labels})
    manager = LabelManager({"background": 0, "lesion": 1}, None)
    kind = PatchKind((6, 16, 16), 1.0, True, held="voxel")
    patches = draw_patch_volumes(dataset, (kind,), manager, 2, per_case=500)
    assert n > 2
    assert (patches.voxels[:, 0] > 0).all()
    assert (patches.corner >= 0).all()
    assert (patches.corner + kind.size <= labels.shape).all()
    centres = components[tuple((patches.corner + np.array(kind.size) // 2).T)] > 0
    assert centres.mean() < 0.5


def test_it_goes_to_another_process():
    made = loader(one_voxel((20, 30, 30), (9, 14, 15)), (4, 7, 8))
    other = pickle.loads(pickle.dumps(made))
    batches = []
    for each in (made, other):
        np.random.seed(3)
        batches.append(torch.stack([next(each)["target"] for _ in range(10)]))
    assert torch.equal(*batches)
