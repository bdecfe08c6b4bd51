"""Folders in, tables out: pairing, refusals, labels and regions, and what must not change a score."""

import json
import math
import shutil

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from skimage import io

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation import Protocol, evaluate_folder
from nnunetv2_sizepenalty.evaluation.folder import size_bins
from nnunetv2_sizepenalty.evaluation.metrics import CASE_COLUMNS, LESION_COLUMNS, metrics_in
from nnunetv2_sizepenalty.evaluation.nan_json import read_record, to_json
from nnunetv2_sizepenalty.evaluation.summary import Summary
from nnunetv2_sizepenalty.lesions import ML, PX

SPACING = (0.8, 1.1, 3.0)  # x, y, z


def write(path, array, *, spacing=SPACING, origin=(1.0, 2.0, 3.0), direction=None):
    path.parent.mkdir(exist_ok=True)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    if direction is not None:
        image.SetDirection(np.ravel(direction).tolist())
    sitk.WriteImage(image, path)


def blobs(seed, share=0.06):
    return (np.random.default_rng(seed).random((8, 20, 22)) < share).astype(np.uint8)


@pytest.fixture
def folders(tmp_path):
    """Three cases: a and b with lesions, c without one but with a false positive."""
    for case, seed in (("a", 1), ("b", 2), ("c", 3)):
        reference = blobs(seed) * (case != "c")
        prediction = np.maximum(np.roll(reference, 1, axis=2) * blobs(seed + 10, 0.7), blobs(seed + 20, 0.002))
        write(tmp_path / "ref" / f"{case}.nii.gz", reference)
        write(tmp_path / "pred" / f"{case}.nii.gz", prediction.astype(np.uint8))
    return tmp_path


def evaluate(folders, **options):
    return evaluate_folder(folders / "ref", folders / "pred", **options)


def test_tables_and_summary(folders):
    evaluation = evaluate(folders)
    share = ("missed_share", "false_positives_share", "detection_rate_share")
    assert tuple(evaluation.cases.columns) == (*CASE_COLUMNS, *share)
    assert tuple(evaluation.lesions.columns) == LESION_COLUMNS
    assert evaluation.cases["case"].tolist() == ["a", "b", "c"]
    # lesions.csv accounts for every count of cases.csv.
    for row in evaluation.cases.itertuples():
        own = evaluation.lesions[evaluation.lesions["case"] == row.case]
        reference = own[own["kind"] == "reference"]
        assert len(reference) == row.n_reference
        assert (~reference["detected"]).sum() == row.missed
        assert reference["matched"].sum() == row.tp
        assert (own["kind"] == "false_positive").sum() == row.false_positives
        assert (own["kind"] != "reference").sum() == row.fp
        assert reference["volume_ml"].sum() == pytest.approx(row.reference_ml)
        assert own.loc[own["kind"] == "false_positive", "volume_ml"].sum() == pytest.approx(row.false_positive_ml)
    summary = evaluation.summary
    assert (summary.cases, summary.protocol, summary.missing) == (3, "default", ())
    rve = summary.labels["foreground"].tables.case_stratum("all").metrics["rve"]
    assert (rve.n, rve.undefined, rve.reasons) == (2, 1, {"empty reference": 1})


def test_the_centroid_is_the_lesions_place_in_index_and_world(tmp_path):
    array = np.zeros((6, 9, 12), dtype=np.uint8)
    array[2, 4, 5:8] = 1
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    for name in ("ref", "pred"):
        write(tmp_path / name / "a.nii.gz", array, direction=turn)
    lesion = evaluate(tmp_path).lesions.iloc[0]
    assert lesion[["z", "y", "x"]].tolist() == [2, 4, 6]
    image = sitk.ReadImage(tmp_path / "ref" / "a.nii.gz")
    x, y, z = image.TransformIndexToPhysicalPoint((6, 4, 2))
    np.testing.assert_allclose(lesion[["x_mm", "y_mm", "z_mm"]].tolist(), [-x, -y, z], atol=1e-5)


def test_an_identical_pair_scores_one_everywhere(folders):
    shutil.rmtree(folders / "pred")
    shutil.copytree(folders / "ref", folders / "pred")
    cases = evaluate(folders).cases
    with_lesions = cases[cases["n_reference"] > 0]
    for metric in ("dice", "iou", "detection_rate", "lesion_f1", "pq", "sq", "rq", "sq_matched", "nsd"):
        assert (with_lesions[metric] == 1).all(), metric
    zero = ["rve", "volume_error_ml", "missed", "false_positives", "fp", "fn", "assd", "masd", "hd95", "lesion_masd"]
    assert (with_lesions[zero] == 0).all(axis=None)


@pytest.mark.parametrize("change", ["dtype", "flipped axis", "oblique", "mha"])
def test_what_must_not_change_a_score(folders, change):
    plain = evaluate(folders)
    for name in ("ref", "pred"):
        for path in sorted((folders / name).iterdir()):
            array = sitk.GetArrayFromImage(sitk.ReadImage(path))
            if change == "dtype":
                write(path, array.astype(np.float32 if name == "ref" else np.int32))
            elif change == "flipped axis":
                # The same lesions, stored from the other end.
                end = (1.0 + (array.shape[2] - 1) * SPACING[0], 2.0, 3.0)
                write(path, array[:, :, ::-1], origin=end, direction=np.diag([-1.0, 1, 1]))
            elif change == "oblique":
                c, s = math.cos(0.3), math.sin(0.3)
                write(path, array, direction=[[c, -s, 0], [s, c, 0], [0, 0, 1]])
            else:
                path.unlink()
                write(path.with_name(path.name.replace(".nii.gz", ".mha")), array)
    changed = evaluate(folders)
    pd.testing.assert_frame_equal(plain.cases, changed.cases, rtol=1e-6)
    if change == "flipped axis":
        places = ["case", "x_mm", "y_mm", "z_mm"]
        first, second = (e.lesions.sort_values(places)[places].reset_index(drop=True) for e in (plain, changed))
        pd.testing.assert_frame_equal(first, second, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"spacing": (0.8, 1.1, 3.01)}, "spacing"),
        ({"origin": (1.0, 2.0, 3.5)}, "origin"),
        ({"direction": [[0, -1, 0], [1, 0, 0], [0, 0, 1]]}, "direction"),
        ({}, "shape"),
    ],
)
def test_another_grid_is_refused_with_every_file(folders, options, says):
    for case in ("a", "c"):
        array = blobs(1) if options else blobs(1)[:, :-1]
        write(folders / "pred" / f"{case}.nii.gz", array, **options)
    with pytest.raises(UserError) as caught:
        evaluate(folders)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("2 of 3 cases")
    assert [f"{case}.nii.gz: {says}" in line for case, line in zip("ac", lines[1:], strict=True)] == [True, True]


def test_missing_predictions(folders):
    (folders / "pred" / "b.nii.gz").unlink()
    with pytest.raises(UserError, match=r"(?s)1 of 3 references.*--allow-missing.*\n  b$"):
        evaluate(folders)
    scored = evaluate(folders, allow_missing=True)
    assert scored.summary.missing == ("b",)
    row = scored.cases.set_index("case").loc["b"]
    assert (row["dice"], row["rve"], row["n_prediction"]) == (0, 1, 0)
    assert evaluate(folders, only_predicted=True).cases["case"].tolist() == ["a", "c"]


def test_predictions_without_a_reference_are_passed_over_and_named(folders):
    (folders / "ref" / "b.nii.gz").unlink()
    evaluation = evaluate(folders)
    assert evaluation.cases["case"].tolist() == ["a", "c"]
    assert evaluation.summary.without_reference == ("b",)
    with pytest.raises(UserError, match="check the two folders"):
        for case in "ac":
            (folders / "pred" / f"{case}.nii.gz").unlink()
        evaluate(folders, only_predicted=True)


def test_classes_and_regions(tmp_path):
    rng = np.random.default_rng(5)
    reference, prediction = (rng.integers(0, 3, (5, 12, 12)).astype(np.uint8) for _ in range(2))
    reference[0, 0] = 3  # ignored
    write(tmp_path / "ref" / "a.nii.gz", reference)
    write(tmp_path / "pred" / "a.nii.gz", prediction)
    dataset = {
        "labels": {"background": 0, "whole": [1, 2], "core": 2, "ignore": 3},
        "regions_class_order": [1, 2],
        "file_ending": ".nii.gz",
    }
    (tmp_path / "dataset.json").write_text(json.dumps(dataset))
    evaluation = evaluate(tmp_path, dataset_json=tmp_path / "dataset.json")
    assert evaluation.cases["label"].tolist() == ["whole", "core"]
    valid = reference != 3
    for row, values in zip(evaluation.cases.itertuples(), ((1, 2), (2,)), strict=True):
        r, p = np.isin(reference, values) & valid, np.isin(prediction, values) & valid
        assert row.dice == pytest.approx(2 * (r & p).sum() / (r.sum() + p.sum()))
    assert evaluation.summary.labels["whole"].values == (1, 2)


def test_values_that_dataset_json_does_not_name(folders):
    (folders / "dataset.json").write_text('{"labels": {"background": 0, "a": 2}, "file_ending": ".nii.gz"}')
    with pytest.raises(UserError, match=r"ref.a\.nii\.gz: holds labels \[1\] that dataset\.json does not name"):
        evaluate(folders, dataset_json=folders / "dataset.json")


def test_groups(folders):
    table = folders / "groups.csv"
    for name in ("ref", "pred"):
        shutil.copy(folders / name / "a.nii.gz", folders / name / "d.nii.gz")
    table.write_text("case,site\na,north\nb,south\nc,south\nd,north\n")
    evaluation = evaluate(folders, groups=table)
    assert evaluation.summary.groups == {"site": {"a": "north", "b": "south", "c": "south", "d": "north"}}
    group = evaluation.summary.labels["foreground"].groups["site"]
    dice = evaluation.cases.set_index("case")["dice"]
    assert group.tables["south"].case_stratum("all").cases == 2
    means = [dice["a"], dice[["b", "c"]].mean()]
    assert group.mean_of_means["dice"] == pytest.approx(np.mean(means))
    table.write_text("case,site\na,north\n")
    with pytest.raises(UserError, match="no row for b, c, d; add them"):
        evaluate(folders, groups=table)
    table.write_text("name,site\na,north\n")
    with pytest.raises(UserError, match="it needs case"):
        evaluate(folders, groups=table)


@pytest.mark.parametrize(
    ("protocol", "says"), [(Protocol(connectivity=8), "is 3D, where connectivity"), (Protocol(connectivity=6), None)]
)
def test_connectivity_must_suit_the_masks(folders, protocol, says):
    if says:
        with pytest.raises(UserError, match=says):
            evaluate(folders, protocol=protocol)
    else:
        n_reference = evaluate(folders, protocol=protocol).cases["n_reference"]
        assert (n_reference.iloc[:2] > evaluate(folders).cases["n_reference"].iloc[:2]).all()


@pytest.mark.integration
def test_worker_processes_give_the_same(folders):
    one, two = evaluate(folders), evaluate(folders, processes=2)
    pd.testing.assert_frame_equal(one.cases, two.cases)
    pd.testing.assert_frame_equal(one.lesions, two.lesions)


def test_sheared_voxels_have_the_determinants_volume(folders):
    upright = evaluate(folders)
    for path in folders.glob("*/*.nii.gz"):
        image = sitk.ReadImage(path)
        write(path.parent / path.name.replace(".nii.gz", ".mha"), sitk.GetArrayFromImage(image),
              direction=[[1, 0.6, 0], [0, 0.8, 0], [0, 0, 1]])  # fmt: skip
        path.unlink()
    leaning = evaluate(folders, protocol=Protocol(min_mm3=float(0.8 * 1.5 * np.prod(SPACING))))
    assert leaning.cases["reference_ml"].to_numpy() == pytest.approx(0.8 * upright.cases["reference_ml"].to_numpy())
    assert leaning.lesions["volume_ml"].to_numpy() == pytest.approx(
        leaning.lesions["voxels"] * 0.8 * np.prod(SPACING) / 1e3
    )
    false_positives = leaning.lesions[leaning.lesions["kind"] == "false_positive"]
    assert len(false_positives) == 0 or false_positives["voxels"].min() == 2


@pytest.fixture
def photographs(tmp_path):
    """Two PNG masks: lesions of 4, 60 and 1,200 pixels, the smallest missed; a false positive of 9."""
    reference = np.zeros((60, 80), np.uint8)
    reference[2:4, 2:4] = reference[10:16, 10:20] = reference[20:50, 30:70] = 1
    prediction = reference.copy()
    prediction[2:4, 2:4] = 0
    prediction[55:58, 5:8] = 1
    for folder, masks in (("ref", (reference, 0 * reference)), ("pred", (prediction, 0 * reference))):
        (tmp_path / folder).mkdir()
        for case, mask in zip("ab", masks, strict=True):
            io.imsave(tmp_path / folder / f"{case}.png", mask, check_contrast=False)
    return tmp_path


def test_sizes_of_photographs_are_pixels(photographs):
    evaluation = evaluate(photographs)
    assert not [name for table in (evaluation.cases, evaluation.lesions) for name in table if name.endswith("_ml")]
    first = evaluation.cases.iloc[0]
    assert (first["reference_px"], first["prediction_px"], first["false_positive_px"]) == (1264, 1269, 9)
    assert (first["volume_error_px"], first["absolute_volume_error_px"]) == (5, 5)
    assert sorted(evaluation.lesions["volume_px"]) == [4, 9, 60, 1200]
    written = json.loads(to_json(evaluation.summary))
    assert (written["bins_px"], "bins_ml" in written) == ([10, 100, 1000], False)
    assert json.loads(to_json(read_record(Summary, written))) == written
    tables = written["labels"]["foreground"]["tables"]
    names = ["all", "< 10 px", "10-100 px", "< 100 px", "100-1000 px", "< 1000 px", ">= 1000 px"]
    assert [stratum["name"] for stratum in tables["lesion_strata"]] == names
    assert [stratum["lesions"] for stratum in tables["lesion_strata"]] == [3, 1, 1, 2, 0, 2, 1]
    assert tables["lesion_strata"][1]["false_positive_px"] == 9
    assert tables["case_strata"][0]["pooled"]["false_positive_px_per_case"]["value"] == 4.5
    assert tables["case_strata"][0]["metrics"]["reference_px"]["mean"] == 632


def test_distances_of_photographs_are_pixels(photographs):
    evaluation = evaluate(photographs)
    assert {"x_px", "y_px", "z_px"} < set(evaluation.lesions)
    assert not [name for table in (evaluation.cases, evaluation.lesions) for name in table if name.endswith("_mm")]
    assert metrics_in(PX)["hd95"].heading == "HD95 (px)"
    assert metrics_in(ML)["hd95"].heading == "HD95 (mm)"
    assert "NSD within 1 px" in evaluation.summary.description


def test_edges_of_the_other_unit_are_refused(photographs):
    with pytest.raises(UserError, match=r"--bins-ml: .* no spacing, so sizes are in px here; give --bins-px") as raised:
        evaluate(photographs, bins_ml=[7])
    assert "\n" not in str(raised.value)
    with pytest.raises(UserError, match=r"--bins-px: .* a spacing, .* in mL here; give .*--bins-ml 1 5$"):
        size_bins(ML, None, [10])


def test_strata_of_photographs_have_edges_of_their_own(photographs):
    evaluation = evaluate(photographs, bins_px=[50], bins_ml=[7])
    strata = evaluation.summary.labels["foreground"].tables.case_strata
    assert [stratum.name for stratum in strata] == ["all", "none", "< 50 px", ">= 50 px"]
    assert [stratum.cases for stratum in strata] == [2, 1, 0, 1]
