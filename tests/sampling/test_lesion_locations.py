"""Lesions of preprocessed cases: found as scipy finds them, kept, and found anew when something has changed."""

import numpy as np
import pytest
from nnunetv2.training.dataloading.nnunet_dataset import infer_dataset_class
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from preprocessed_masks import blobs, preprocess_masks
from scipy import ndimage

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.classes import labels_of
from nnunetv2_sizepenalty.sampling.lesion_locations import (
    FOLDER,
    MOST_VOXELS,
    find_lesions,
    locate_lesions,
)

LESION = ((1,),)


@pytest.mark.parametrize("channels", [LESION, ((1,), (2,)), ((1, 2), (2,))], ids=["class", "classes", "regions"])
def test_lesions_are_scipys_components_of_each_class_or_region(channels):
    labels = blobs(values=(1, 2))
    lesions = locate_lesions(labels, channels)
    found = []
    for channel, values in enumerate(channels):
        components, n = ndimage.label(np.isin(labels, values), ndimage.generate_binary_structure(3, 2))
        found += [(channel, frozenset(map(tuple, np.argwhere(components == i + 1)))) for i in range(n)]
    ours = [(lesions.channel[i], frozenset(map(tuple, lesions.of(i)))) for i in range(len(lesions))]
    assert len(found) > 3
    assert set(ours) == set(found)
    assert list(lesions.voxels) == [len(voxels) for _, voxels in ours]


def test_a_large_lesion_is_stored_in_part_and_a_small_one_whole():
    labels = np.zeros((20, 40, 40), np.int16)
    labels[:, :30, :30] = 1
    labels[3, 38, 38:] = 1
    lesions = locate_lesions(labels, LESION)
    assert list(lesions.voxels) == [20 * 30 * 30, 2]
    assert len(np.unique(lesions.of(0), axis=0)) == MOST_VOXELS
    assert labels[tuple(lesions.of(0).T)].all()
    assert lesions.of(0)[:, 0].std() > 4, "not from all of the lesion"
    assert lesions.of(1).tolist() == [[3, 38, 38], [3, 38, 39]]


def test_slicewise_lesions_end_with_their_slice():
    labels = blobs()
    lesions = locate_lesions(labels, LESION, slicewise=True)
    areas = []
    for plane in labels:
        components, _ = ndimage.label(plane, np.ones((3, 3)))
        areas += list(np.bincount(components.ravel())[1:])
    assert sorted(lesions.voxels) == sorted(areas)
    assert len(lesions) > len(locate_lesions(labels, LESION))
    assert all(len(set(lesions.of(i)[:, 0])) == 1 for i in range(len(lesions)))


def test_no_lesion():
    lesions = locate_lesions(np.zeros((2, 3, 4), int), LESION)
    assert (len(lesions), lesions.coordinates.shape, tuple(lesions.shape)) == (0, (0, 3), (2, 3, 4))


@pytest.mark.parametrize(
    ("labels", "order", "channels"),
    [
        ({"background": 0, "a": 1, "b": 2, "ignore": 3}, None, ((1,), (2,))),
        ({"background": 0, "whole": (1, 2), "core": (2,), "ignore": 3}, (1, 2), ((1, 2), (2,))),
    ],
    ids=["classes", "regions"],
)
def test_channels_are_the_losses(labels, order, channels):
    assert labels_of(LabelManager(labels, order)).channels == channels


@pytest.fixture
def folder(tmp_path):
    preprocess_masks(tmp_path / "data", {"a": blobs(1), "b": blobs(2), "none": np.zeros((2, 8, 8))})
    return tmp_path / "data"


def test_found_once_and_kept_beside_the_data(folder):
    first = find_lesions(folder, ["a", "b", "none"], LESION)
    written = {file: file.stat().st_mtime_ns for file in (folder / FOLDER).iterdir()}
    again = find_lesions(folder, ["b", "a"], LESION)
    assert {file: file.stat().st_mtime_ns for file in (folder / FOLDER).iterdir()} == written
    assert [file.name for file in sorted(written)] == ["a.npz", "b.npz", "none.npz"]
    assert list(again) == ["b", "a"]
    for case in again:
        np.testing.assert_array_equal(again[case].coordinates, first[case].coordinates)
        np.testing.assert_array_equal(again[case].voxels, first[case].voxels)
    assert len(first["none"]) == 0 < len(first["a"])


def test_nnunets_listing_of_cases_is_not_disturbed(folder):
    find_lesions(folder, ["a"], LESION)
    dataset_class = infer_dataset_class(str(folder))
    assert sorted(dataset_class.get_identifiers(str(folder))) == ["a", "b", "none"]


def test_found_anew_when_preprocessed_again(folder):
    before = find_lesions(folder, ["a"], LESION)["a"]
    preprocess_masks(folder.parent / "new", {"a": blobs(7)})
    for name in ("a.b2nd", "a_seg.b2nd", "a.pkl"):
        (folder.parent / "new" / name).replace(folder / name)
    after = find_lesions(folder, ["a"], LESION)["a"]
    expected = locate_lesions(blobs(7), LESION)
    assert list(after.voxels) == list(expected.voxels) != list(before.voxels)


def test_found_anew_when_the_classes_changed(folder):
    assert len(find_lesions(folder, ["a"], LESION)["a"]) > 0
    assert len(find_lesions(folder, ["a"], ((2,),))["a"]) == 0


def test_a_damaged_file_is_found_anew(folder):
    expected = find_lesions(folder, ["a"], LESION)["a"]
    file = folder / FOLDER / "a.npz"
    file.write_bytes(file.read_bytes()[:200])
    assert list(find_lesions(folder, ["a"], LESION)["a"].voxels) == list(expected.voxels)


def test_a_folder_that_cannot_be_written_to(folder):
    (folder / FOLDER).symlink_to("nowhere")  # root writes into read-only folders
    assert len(find_lesions(folder, ["a"], LESION)["a"]) == len(locate_lesions(blobs(1), LESION))


def test_a_case_that_is_not_there(folder):
    with pytest.raises(UserError, match="no segmentation of case c; run nnUNetv2_preprocess"):
        find_lesions(folder, ["c"], LESION)


@pytest.mark.integration
def test_many_cases_are_looked_at_in_several_processes(tmp_path):
    masks = {f"case{n:03d}": blobs(n, shape=(2, 16, 16)) for n in range(100)}
    preprocess_masks(tmp_path / "data", masks)
    found = find_lesions(tmp_path / "data", list(masks), LESION, processes=2)
    assert list(found) == list(masks)
    for case, lesions in found.items():
        np.testing.assert_array_equal(lesions.coordinates, locate_lesions(masks[case], LESION).coordinates)
