"""Masks whose values are lesion ids: touching lesions stay apart, from the file to the tables and the viewer."""

import dataclasses
import json

import numpy as np
import pytest
import SimpleITK as sitk
from skimage import io

from nnunetv2_sizepenalty.cli.main import main
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation import PROTOCOLS, Protocol, evaluate_folder, read_evaluation, write_evaluation
from nnunetv2_sizepenalty.evaluation.case import score_case
from nnunetv2_sizepenalty.evaluation.instances import find_instances
from nnunetv2_sizepenalty.report.sources import Sources

BY_ID = Protocol(instances="both")


def write(path, array):
    path.parent.mkdir(exist_ok=True)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((1.0, 1.0, 2.0))
    sitk.WriteImage(image, path)


@pytest.fixture
def ids():
    """Lesion 7 (12 voxels) touches lesion 300 (8 voxels); lesion 40 is in two pieces (1 and 3 voxels)."""
    array = np.zeros((4, 12, 14), np.uint16)
    array[1, 2:5, 2:6] = 7
    array[1, 2:4, 6:10] = 300
    array[3, 9, 1] = array[3, 9, 8:11] = 40
    return array


@pytest.fixture
def folders(tmp_path, ids):
    """The prediction holds lesion 7 as id 2 and piece by piece lesion 40 as ids 5 and 9; it misses lesion 300."""
    prediction = np.zeros(ids.shape, np.uint8)
    prediction[ids == 7] = 2
    prediction[3, 9, 1], prediction[3, 9, 8:11] = 5, 9
    write(tmp_path / "ref" / "a.nii.gz", ids)
    write(tmp_path / "pred" / "a.nii.gz", prediction)
    return tmp_path


def evaluate(folders, instances, **options):
    rules = {name: options.pop(name) for name in ("min_voxels", "filter_reference") if name in options}
    protocol = Protocol(instances=instances, **rules)
    return evaluate_folder(folders / "ref", folders / "pred", protocol=protocol, **options)


@pytest.mark.parametrize(
    ("instances", "counts"),
    [
        # components: one lesion of 20 voxels, a single voxel, and one of 3; the last two are found exactly
        ("none", {"n_reference": 3, "n_prediction": 3, "missed": 0, "tp": 3}),
        ("reference", {"n_reference": 3, "n_prediction": 3, "missed": 1, "tp": 2}),
        ("prediction", {"n_reference": 3, "n_prediction": 3, "missed": 0, "tp": 3}),
        ("both", {"n_reference": 3, "n_prediction": 3, "missed": 1, "tp": 2}),
    ],
)
def test_lesions_of_each_side(folders, instances, counts):
    row = evaluate(folders, instances).cases.iloc[0]
    assert row[list(counts)].to_dict() == counts
    assert row["dice"] == pytest.approx(2 * 16 / (24 + 16))  # of the voxels, whatever tells lesions apart


def test_lesions_csv_numbers_ids_in_their_order_and_names_them(folders):
    lesions = evaluate(folders, "both").lesions
    reference = lesions[lesions["kind"] == "reference"]
    assert reference[["lesion", "lesion_id", "voxels", "detected"]].to_numpy().tolist() == [
        [1, 7, 12, True],
        [2, 40, 4, True],
        [3, 300, 8, False],
    ]
    # id 9 is the match of lesion 40, the single voxel 5 is left over
    unmatched = lesions[lesions["kind"] == "unmatched"]
    assert unmatched[["lesion", "lesion_id", "voxels"]].to_numpy().tolist() == [[2, 5, 1]]


def test_components_have_no_id(folders):
    lesions = evaluate(folders, "reference").lesions
    assert lesions["lesion_id"].tolist() == [7, 40, 300, None]
    assert "lesion_id" not in evaluate(folders, "none").lesions


def test_the_smallest_size_is_that_of_an_id(folders):
    evaluation = evaluate(folders, "both", min_voxels=4, filter_reference=True)
    assert evaluation.cases.iloc[0][["n_reference", "n_prediction"]].tolist() == [3, 1]
    evaluation = evaluate(folders, "both", min_voxels=5, filter_reference=True)
    assert evaluation.lesions["lesion_id"].tolist() == [7, 300]
    assert evaluation.lesions["lesion"].tolist() == [1, 2]


def test_touching_lesions_have_surfaces_of_their_own():
    """Two cubes side by side, the prediction of the one shifted by one voxel along their common face."""
    reference, prediction = np.zeros((2, 9, 9, 14), np.uint8)
    reference[2:7, 2:7, 2:7], reference[2:7, 2:7, 7:12] = 1, 2
    prediction[2:7, 2:7, 2:7], prediction[2:7, 2:7, 8:13] = 1, 2
    together = score_case(reference, prediction, (1, 1, 1), BY_ID)
    alone = [score_case(reference == i, prediction == i, (1, 1, 1), Protocol()).metrics["lesion_masd"] for i in (1, 2)]
    assert alone[0] == 0 < alone[1]
    assert together.lesions["lesion_masd"].tolist() == alone
    # the distances of whole masks know no lesions
    plain = score_case(reference, prediction, (1, 1, 1), Protocol()).metrics
    for name in ("assd", "masd", "hd95", "nsd", "dice"):
        assert together.metrics[name] == plain[name]


def test_ids_of_components_score_as_components_do():
    rng = np.random.default_rng(3)
    masks = [rng.random((6, 20, 20)) < 0.04 for _ in range(2)]
    masks[1] |= np.roll(masks[0], 1, axis=2) & (rng.random(masks[0].shape) < 0.7)
    ids = [find_instances(mask, (1, 1, 3), Protocol(), is_reference=True).labels for mask in masks]
    plain, by_id = score_case(*masks, (1, 1, 3), Protocol()), score_case(*ids, (1, 1, 3), BY_ID)
    assert plain.metrics["n_reference"] > 20 < plain.metrics["tp"] + plain.metrics["fp"]
    assert by_id.metrics == pytest.approx(plain.metrics, nan_ok=True)
    for name, column in plain.lesions.items():
        np.testing.assert_array_equal(by_id.lesions[name], column)


@pytest.mark.parametrize("instances", ["reference", "both"])
def test_the_viewer_reads_the_lesions_that_were_scored(folders, instances):
    write_evaluation(evaluate(folders, instances), folders / "out")
    summary = read_evaluation(folders / "out").summary
    assert summary.settings["instances"] == instances
    reference, prediction, _ = Sources(summary, folders / "ref", folders / "pred").instances("a")
    assert reference["foreground"].voxels.tolist() == [12, 4, 8]
    assert sorted(prediction["foreground"].voxels.tolist()) == [1, 3, 12]


def test_png_ids_above_255(tmp_path):
    reference = np.zeros((20, 30), np.uint16)
    reference[2:6, 2:6], reference[2:6, 6:9] = 256, 40000
    for name in ("ref", "pred"):
        (tmp_path / name).mkdir()
        io.imsave(tmp_path / name / "a.png", reference, check_contrast=False)
    evaluation = evaluate(tmp_path, "both")
    assert evaluation.lesions[["lesion_id", "volume_px"]].to_numpy().tolist() == [[256, 16], [40000, 12]]


def dataset_json(folders, labels, **more):
    path = folders / "dataset.json"
    path.write_text(json.dumps({"labels": {"background": 0, **labels}, "file_ending": ".nii.gz", **more}))
    return path


def test_one_class_gives_its_name(folders):
    (label,) = evaluate(folders, "both", dataset_json=dataset_json(folders, {"infarct": 1})).summary.labels
    assert label == "infarct"
    # predictions of labels beside references of ids
    write(folders / "pred" / "a.nii.gz", np.full((4, 12, 14), 2, np.uint8))
    with pytest.raises(UserError, match=r"pred.a\.nii\.gz: holds labels \[2\] that dataset"):
        evaluate(folders, "reference", dataset_json=dataset_json(folders, {"infarct": 1}))


@pytest.mark.parametrize(
    ("labels", "more", "says"),
    [
        ({"core": 1, "penumbra": 2}, {}, "ids are of one class, and dataset.json has core, penumbra"),
        ({"all": [1, 2], "core": 2}, {"regions_class_order": [1, 2]}, "dataset.json has all, core"),
        ({"core": 1, "ignore": 2}, {}, "ignore label 2 could be a lesion's id"),
    ],
)
def test_labels_that_ids_cannot_stand_for(folders, labels, more, says):
    with pytest.raises(UserError, match=says):
        evaluate(folders, "both", dataset_json=dataset_json(folders, labels, **more))


def test_ignored_voxels_of_a_labelled_reference(folders, ids):
    reference = (ids > 0).astype(np.uint8)
    reference[1] = 2
    write(folders / "ref" / "a.nii.gz", reference)
    labels = dataset_json(folders, {"infarct": 1, "ignore": 2})
    evaluation = evaluate(folders, "prediction", dataset_json=labels)
    assert evaluation.cases.iloc[0][["n_reference", "n_prediction", "dice"]].tolist() == [2, 2, 1]


def test_ids_below_zero_are_no_ids(folders, ids):
    write(folders / "ref" / "a.nii.gz", ids.astype(np.int16) * -1)
    with pytest.raises(UserError, match=r"ref.a\.nii\.gz: holds ids below 0 \(-300\)"):
        evaluate(folders, "both")


@pytest.mark.parametrize("name", ["brats-mets", "brats-mets-2024"])
def test_rules_that_join_lesions(name):
    with pytest.raises(ValueError, match=f"{name} joins lesions that lie close"):
        dataclasses.replace(PROTOCOLS[name], instances="reference")


def test_what_tells_lesions_apart_stands_in_every_caption():
    assert Protocol(instances="both").description.startswith("default: lesions by their ids, ")
    assert Protocol(instances="reference").description.startswith("default: 18 (2D: 8)-connectivity (reference by ids)")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--connectivity", "6"], "lesion ids tell all lesions apart"),
        (["--protocol", "brats-mets"], "brats-mets joins lesions"),
        (["--froc", "somewhere"], "`froc` counts the references' connected components"),
    ],
)
def test_options_that_ids_contradict(folders, capsys, options, says):
    assert main([*command(folders), "--instances", "both", *options]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not (folders / "out").exists()


def command(folders):
    return [
        "evaluate",
        "-np",
        "1",
        *(f"{o}={folders / n}" for o, n in (("-ref", "ref"), ("-pred", "pred"), ("-o", "out"))),
    ]


def test_masks_without_ids_are_warned_of(folders, capsys):
    write(folders / "pred" / "a.nii.gz", np.eye(14, dtype=np.uint8)[None, :12].repeat(4, axis=0))
    assert main([*command(folders), "--instances", "both", "--protocol", "thesis"]) == 0
    warning = capsys.readouterr().err
    assert "WARNING: no prediction holds more than one lesion id" in warning
    assert "no reference" not in warning
    assert read_evaluation(folders / "out").summary.protocol == "thesis"
