"""`_lesionuniform`: each lesion of a case is the centre of as many forced patches as any other."""

import os
from pathlib import Path

import numpy as np
import pytest
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from preprocessed_masks import LABELS, blobs, preprocess_masks
from scipy import ndimage
from scipy.stats import binomtest, chisquare

from nnunetv2_sizepenalty.lesions import label_components
from nnunetv2_sizepenalty.nnunet_io.classes import labels_of
from nnunetv2_sizepenalty.sampling.lesion_locations import find_lesions
from nnunetv2_sizepenalty.sampling.patch_volumes import PatchKind, draw_patch_volumes
from nnunetv2_sizepenalty.trainers.lesion_sampling import LesionUniformDataset

REAL_DATA = os.environ.get("SIZEPENALTY_REAL_DATA")
DRAWS = 5000
CENTRES = (PatchKind((1, 1, 1), 1.0, True),)  # a patch that is its own centre
REGIONS = LabelManager({"background": 0, "whole": (1, 2), "core": (2,), "ignore": 3}, (1, 2))
CLASSES = LabelManager({"background": 0, "a": 1, "b": 2}, None)


def lesion_uniform(dataset, label_manager=LABELS):
    channels = labels_of(label_manager).channels
    return LesionUniformDataset(
        dataset, find_lesions(dataset.source_folder, dataset.identifiers, channels), label_manager
    )


def soop(cases):
    saved = np.load(Path(REAL_DATA) / "soop" / "lesion_masks_mni_1mm.npz")
    shape = tuple(saved["shape"])
    return {
        case: np.unpackbits(saved[case], count=int(np.prod(shape))).reshape(shape).transpose(2, 1, 0) for case in cases
    }


@pytest.mark.skipif(REAL_DATA is None, reason="SIZEPENALTY_REAL_DATA names no folder")
def test_every_lesion_of_real_masks_is_drawn_equally_often(tmp_path):
    masks = soop(("sub-1355", "sub-1364", "sub-1004"))
    dataset = preprocess_masks(tmp_path / "data", masks)
    drawn = {}
    for sampling, source in (("nnU-Net", dataset), ("lesionuniform", lesion_uniform(dataset))):
        patches = draw_patch_volumes(source, CENTRES, LABELS, 2, per_case=DRAWS, seed=0)
        for index, case in enumerate(patches.identifiers):
            components, n = label_components(masks[case])
            lesion = components[tuple(patches.corner[patches.case == index].T)]
            drawn[sampling, case] = np.bincount(lesion, minlength=n + 1)
    for case in masks:
        background, *counts = drawn["lesionuniform", case]
        assert (background, sum(counts)) == (0, DRAWS)
        assert len(counts) == 1 or chisquare(counts).pvalue > 0.01
        # intervals that hold together with a probability of 99 %
        for count in counts:
            assert binomtest(int(count), DRAWS, 1 / len(counts)).pvalue > 0.01 / len(counts)
    dropped = sum((drawn["nnU-Net", case][1:] == 0).sum() for case in masks)
    assert dropped >= 10, "nnU-Net's list of 10,000 voxels was meant to lose lesions here"


def test_nnunets_list_loses_a_lesion_that_is_drawn_here(tmp_path):
    labels = np.zeros((40, 100, 100), np.int16)
    labels[:, :80] = 1
    labels[5, 99, 3] = 1
    dataset = preprocess_masks(tmp_path / "data", {"a": labels})
    assert [0, 5, 99, 3] not in dataset.load_case("a")[3]["class_locations"][1].tolist()
    patches = draw_patch_volumes(lesion_uniform(dataset), CENTRES, LABELS, 2, per_case=1000)
    assert binomtest(int((patches.corner == (5, 99, 3)).all(axis=1).sum()), 1000, 0.5).pvalue > 0.01


@pytest.mark.parametrize("label_manager", [CLASSES, REGIONS], ids=["classes", "regions"])
def test_lesions_of_all_classes_or_regions_are_drawn_together(tmp_path, label_manager):
    labels = blobs(5) * (1 + (np.arange(40) > 20))
    dataset = preprocess_masks(tmp_path / "data", {"a": labels}, label_manager)
    patches = draw_patch_volumes(lesion_uniform(dataset, label_manager), CENTRES, label_manager, 2, per_case=DRAWS)
    found = [
        ndimage.label(np.isin(labels, values), ndimage.generate_binary_structure(3, 2))
        for values in labels_of(label_manager).channels
    ]
    # with regions a voxel can lie in two lesions: voxels are counted by the lesions that they lie in
    group = np.ravel_multi_index([components for components, _ in found], [n + 1 for _, n in found])
    per_voxel = sum((components > 0) / np.bincount(components.ravel())[components] for components, _ in found)
    expected = np.bincount(group.ravel(), per_voxel.ravel()) * DRAWS / sum(n for _, n in found)
    drawn = np.bincount(group[tuple(patches.corner.T)], minlength=len(expected))
    assert (expected > 0).sum() > 5
    assert not drawn[expected == 0].any()
    assert chisquare(drawn[expected > 0], expected[expected > 0]).pvalue > 0.01


def test_patches_that_are_not_forced_stay_among_annotated_voxels(tmp_path):
    labels = np.full((12, 40, 40), 3, np.int16)
    labels[4:6, 10:20, 10:20] = 0
    labels[4, 12, 12] = 2
    labels[5, 18, 18] = 1
    dataset = lesion_uniform(preprocess_masks(tmp_path / "data", {"a": labels}, REGIONS), REGIONS)
    free = draw_patch_volumes(dataset, (PatchKind((1, 1, 1), 0.0, True),), REGIONS, 2, per_case=300)
    assert set(labels[tuple(free.corner.T)]) <= {0, 1, 2}
    assert (labels[tuple(free.corner.T)] == 0).any()
    forced = draw_patch_volumes(dataset, CENTRES, REGIONS, 2, per_case=300)
    assert set(labels[tuple(forced.corner.T)]) == {1, 2}


@pytest.mark.parametrize("label_manager", [LABELS, REGIONS], ids=["plain", "ignore"])
def test_a_case_without_a_lesion_gives_patches_as_before(tmp_path, label_manager):
    dataset = preprocess_masks(tmp_path / "data", {"none": np.zeros((12, 40, 40))}, label_manager)
    kinds = (PatchKind((4, 8, 8), 1.0, True),)
    before = draw_patch_volumes(dataset, kinds, label_manager, 2, per_case=50)
    after = draw_patch_volumes(lesion_uniform(dataset, label_manager), kinds, label_manager, 2, per_case=50)
    np.testing.assert_array_equal(after.corner, before.corner)


def test_nnunets_loader_cuts_batches_from_it(tmp_path):
    labels = np.zeros((12, 40, 40), np.int16)
    labels[:, :30, :30] = 1
    labels[3, 38, 36] = 1
    dataset = lesion_uniform(preprocess_masks(tmp_path / "data", {"a": labels}))
    # the image has a voxel of its own alone: give it the labels'
    dataset.dataset.load_case = lambda case, load=dataset.dataset.load_case: (labels[None], *load(case)[1:])
    loader = nnUNetDataLoader(dataset, 2, (1, 4, 4), (1, 4, 4), LABELS, oversample_foreground_percent=1.0)
    np.random.seed(0)
    seen = {int(target.sum()) == 1 for _ in range(20) for target in next(loader)["target"]}
    assert seen == {True, False}
