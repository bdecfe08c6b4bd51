"""Lesions under a plan: nnU-Net's own preprocessing, drawn patches and sums by hand are what they are held against."""

import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from made_datasets import MadeDataset
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from preprocessed_masks import blobs, preprocess_masks

from nnunetv2_sizepenalty.audit.plan_case import lesion_origins, planned_case
from nnunetv2_sizepenalty.audit.raw_case import CasePaths, read_raw_case
from nnunetv2_sizepenalty.lesions import label_components
from nnunetv2_sizepenalty.nnunet_io.classes import labels_of
from nnunetv2_sizepenalty.nnunet_io.dataset import find_dataset
from nnunetv2_sizepenalty.nnunet_io.plan import find_plan
from nnunetv2_sizepenalty.sampling.lesion_locations import find_lesions
from nnunetv2_sizepenalty.trainers.lesion_sampling import LesionUniformDataset

SHAPE = (10, 30, 28)


def cropped_blobs(made: MadeDataset, case: str, values=(1,)) -> np.ndarray:
    """Blobs, on an image that is 0 around a box which cuts some of them."""
    labels = blobs(seed=4, shape=SHAPE, values=values).astype(np.uint8)
    for channel in range(made.channels):
        image = np.zeros(SHAPE, np.float32)
        image[1:9, 4:27, 2:25] = 5 + channel
        made.write(made.image(case, channel), image)
    made.write(made.label(case), labels)
    return labels


def plan_of(made: MadeDataset):
    return find_plan(find_dataset(made.raw.name), None, None)


@pytest.mark.parametrize(
    ("spacing_mm", "patch_size", "transpose"),
    [
        ((4, 2, 2), (8, 16, 16), (0, 1, 2)),
        ((6, 3, 1.5), (8, 16, 16), (0, 1, 2)),
        ((2, 5, 3), (8, 16, 16), (1, 0, 2)),
        ((3, 3), (16, 16), (0, 1, 2)),
    ],
    ids=["as it is", "resampled", "transposed", "2d"],
)
def test_label_map_and_sampled_voxels_are_nnunets(made, spacing_mm, patch_size, transpose):
    dataset = made(cases=["a"])
    dataset.labels = {"background": 0, "core": 1, "rim": 2}
    dataset.write_settings()
    cropped_blobs(dataset, "a", values=(1, 2))
    path = dataset.write_plans(spacing_mm=spacing_mm, patch_size=patch_size, transpose=transpose)
    settings = json.loads((dataset.raw / "dataset.json").read_text())
    plans = PlansManager(str(path))
    images = [str(dataset.image("a", channel)) for channel in range(2)]
    _, theirs, properties = DefaultPreprocessor(verbose=False).run_case(
        images, str(dataset.label("a")), plans, plans.get_configuration(plan_of(dataset).configuration), settings
    )

    paths = CasePaths("a", tuple(dataset.image("a", channel) for channel in range(2)), dataset.label("a"))
    raw, segmentation, box = read_raw_case(paths, SimpleITKIO)
    ours = planned_case("a", segmentation, raw.label.geometry["spacing"], box, plan_of(dataset), settings)

    assert not ours.preprocessed
    np.testing.assert_array_equal(ours.labels, theirs[0].clip(min=0))
    assert [[side.start, side.stop] for side in ours.box] == [
        list(edges) for edges in properties["bbox_used_for_cropping"]
    ]
    assert ours.shape == properties["shape_before_cropping"]
    assert ours.class_locations.keys() == properties["class_locations"].keys()
    for key, voxels in ours.class_locations.items():
        np.testing.assert_array_equal(voxels, properties["class_locations"][key])


def test_every_voxel_comes_from_the_nearest_lesion(made, audited):
    """Against distances to every lesion voxel, one by one."""
    dataset = made(cases=["a"])
    labels = cropped_blobs(dataset, "a")
    dataset.write_plans(spacing_mm=(6, 3, 1.5))
    plan = plan_of(dataset)
    box = (slice(1, 9), slice(4, 27), slice(2, 25))
    settings = json.loads((dataset.raw / "dataset.json").read_text())
    planned = planned_case("a", labels.astype(np.int32), (4.0, 2.0, 2.0), box, plan, settings)
    components, _ = label_components(labels)
    components = components[box]
    mask = planned.labels > 0
    origins = lesion_origins(mask, components, planned)
    assert (origins > 0).tolist() == mask.tolist()

    scale = np.array(components.shape) / mask.shape
    lesion_voxels = np.argwhere(components)
    for voxel in np.argwhere(mask)[::5]:
        distances = np.linalg.norm((lesion_voxels - (scale * (voxel + 0.5) - 0.5)) * (4, 2, 2), axis=1)
        nearest = lesion_voxels[np.isclose(distances, distances.min())]
        assert origins[tuple(voxel)] in {components[tuple(at)] for at in nearest}


def drawn_shares(dataset, label_manager, lesion_of, patches=6000):
    """How often forced patches of one voxel lie on each raw lesion, drawn by nnU-Net's loader."""
    loader = nnUNetDataLoader(dataset, 1, (1, 1, 1), (1, 1, 1), label_manager)
    _, segmentation, _, properties = dataset.load_case("a")
    np.random.seed(0)
    corners = [loader.get_bbox(segmentation.shape[1:], True, properties["class_locations"])[0] for _ in range(patches)]
    counts = Counter(lesion_of[tuple(corner)] for corner in corners)
    return {lesion: count / patches for lesion, count in counts.items()}


@pytest.mark.parametrize("values", [(1,), (1, 2)], ids=["one class", "two classes"])
def test_shares_of_forced_centres_are_those_that_are_drawn(made, audited, values):
    dataset = made(cases=["a"], channels=1)
    dataset.labels = {"background": 0, **{f"label {value}": value for value in values}}
    dataset.write_settings()
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:5, 2:12, 2:10] = 1  # 320 voxels
    labels[7, 20, 20:22] = 1
    labels[8, 4:7, 20] = values[-1]
    dataset.write(dataset.image("a"), np.ones(SHAPE, np.float32))
    dataset.write(dataset.label("a"), labels)
    dataset.write_plans()
    plan = plan_of(dataset)
    manager = plan.label_manager({"labels": dataset.labels})
    audit, _ = audited(dataset)
    rows = audit.lesions

    whole = preprocess_masks(plan.folder, {"a": labels}, manager)
    lesion_of = np.zeros(SHAPE, int)
    for row, (index, lesion) in enumerate(
        (value, lesion) for value in values for lesion in range(1, 1 + label_components(labels == value)[1])
    ):
        components, _ = label_components(labels == index)
        lesion_of[components == lesion] = row
    by_voxel = drawn_shares(whole, manager, lesion_of)
    found = find_lesions(plan.folder, ["a"], labels_of(manager).channels)
    by_lesion = drawn_shares(LesionUniformDataset(whole, found, manager), manager, lesion_of)
    for row in range(len(rows)):
        for column, drawn in (("by_voxel", by_voxel), ("by_lesion", by_lesion)):
            expected = rows[column].iloc[row]
            deviation = np.sqrt(expected * (1 - expected) / 6000)
            assert drawn.get(row, 0) == pytest.approx(expected, abs=4 * deviation + 1e-9), (column, row)
    assert rows["by_lesion"].to_numpy() == pytest.approx(1 / 3)
    assert rows[["by_voxel", "by_lesion"]].sum().to_numpy() == pytest.approx(1)


def test_weights_by_hand(made, audited):
    dataset = made(cases=["a"], channels=1)
    labels = np.zeros(SHAPE, np.uint8)
    labels[2, 4:9, 4:14] = 1  # 50 voxels
    labels[2, 12:14, 4:6] = 1  # 4, in a patch with the 50
    labels[8, 28, 26] = 1  # 1, by itself
    dataset.write(dataset.image("a"), np.ones(SHAPE, np.float32))
    dataset.write(dataset.label("a"), labels)
    dataset.write_plans(patch_size=(4, 24, 24))
    audit, _ = audited(dataset)
    rows = audit.lesions.set_index("voxels")
    expected = {50: (54, 50), 4: (54, 4), 1: (1, 1)}
    for voxels, (patch, own) in expected.items():
        assert rows.loc[voxels, "patch_weight"] == pytest.approx(np.exp(-patch / 600)), voxels
        assert rows.loc[voxels, "own_weight"] == pytest.approx(np.exp(-own / 600)), voxels


def test_preprocessed_data_give_the_same_as_raw_ones(made, audited):
    dataset = made(cases=["a", "b"])
    for case in dataset.cases:
        cropped_blobs(dataset, case)
    path = dataset.write_plans(spacing_mm=(6, 3, 1.5))
    before, _ = audited(dataset)
    plans = PlansManager(str(path))
    plan = plan_of(dataset)
    plan.folder.mkdir()
    settings = json.loads((dataset.raw / "dataset.json").read_text())
    images = [str(dataset.image("a", channel)) for channel in range(2)]
    DefaultPreprocessor(verbose=False).run_case_save(
        str(plan.folder / "a"), images, str(dataset.label("a")), plans, plans.get_configuration("3d_fullres"), settings
    )
    after, _ = audited(dataset)
    assert [case.preprocessed for case in after.cases] == [True, False]
    pd.testing.assert_frame_equal(before.lesions, after.lesions)


def test_a_piece_that_resampling_breaks_off_counts_by_its_voxels(made, audited):
    dataset = made(cases=["a"], channels=1)
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:8, 4:14, 2:14] = 1
    labels[4, 8, 14:22] = 1  # a bridge that is too thin for the plan, but for where it hits a voxel's centre
    labels[3:6, 7:10, 22:25] = 1
    dataset.write(dataset.image("a"), np.ones(SHAPE, np.float32))
    dataset.write(dataset.label("a"), labels)
    dataset.write_plans(spacing_mm=(4, 6, 6), patch_size=(16, 16, 16))
    audit, _ = audited(dataset)
    (row,) = audit.lesions.to_dict("records")
    plan = plan_of(dataset)
    planned = planned_case(
        "a", labels.astype(np.int32), (4, 2, 2), (slice(None),) * 3, plan, {"labels": dataset.labels}
    )
    pieces = [np.count_nonzero(piece) for piece in _pieces(planned.labels)]
    assert len(pieces) == 2
    assert row["kept"] == sum(pieces)
    assert row["own_weight"] == pytest.approx(np.average(np.exp(-np.array(pieces) / 600), weights=pieces))


def _pieces(mask):
    components, n = label_components(mask)
    return [components == piece for piece in range(1, n + 1)]
