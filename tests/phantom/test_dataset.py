"""The phantom command: ISLES's layout, the same bytes for the same seed, one line for bad input."""

import hashlib
import json
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from nnunetv2_sizepenalty.cli.main import main
from nnunetv2_sizepenalty.phantom.dataset import case_files, case_name, write_dataset

SMALL = ["--shape", "36", "44", "40", "--spacing", "4", "4.5", "4.5"]
GRID = {"shape": (36, 44, 40), "spacing_mm": (4, 4.5, 4.5)}


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantom") / "data"
    assert main(["phantom", "-o", str(folder), "--cases", "3", "--seed", "5", "--processes", "1", *SMALL]) == 0
    return folder


@pytest.mark.skipif("SIZEPENALTY_REAL_DATA" not in os.environ, reason="SIZEPENALTY_REAL_DATA is not set")
def test_files_bear_isles_names():
    real = Path(os.environ["SIZEPENALTY_REAL_DATA"], "isles22")
    names = sorted(str(path.relative_to(real)) for path in real.rglob("*.nii.gz"))
    assert sorted(case_files("sub-strokecase0009").values()) == names


def test_the_layout(dataset):
    expected = {path for i in (1, 2, 3) for path in case_files(case_name(i)).values()}
    assert set(digests(dataset)) == expected | {"phantom.json", "lesions.csv"}
    assert (
        case_files(case_name(2))["dwi"] == "rawdata/sub-strokecase0002/ses-0001/sub-strokecase0002_ses-0001_dwi.nii.gz"
    )
    assert case_files(case_name(2))["msk"].startswith("derivatives/sub-strokecase0002/ses-0001/")


def test_images_share_a_millimetre_grid_in_the_order_that_was_asked_for(dataset):
    images = {role: nib.load(dataset / path) for role, path in case_files(case_name(1)).items()}
    for image in images.values():
        assert image.shape == (40, 44, 36)
        assert image.header.get_zooms() == pytest.approx((4.5, 4.5, 4))
        assert image.header.get_xyzt_units()[0] == "mm"
        assert nib.aff2axcodes(image.affine) == ("L", "A", "S")
        assert np.array_equal(image.affine, images["adc"].affine)
    assert images["msk"].get_data_dtype() == np.uint8


def test_the_truth_beside_the_images_agrees_with_the_masks(dataset):
    lesions = pd.read_csv(dataset / "lesions.csv")
    about = json.loads((dataset / "phantom.json").read_text())
    assert [c["case"] for c in about["cases"]] == [case_name(i) for i in (1, 2, 3)]
    for record in about["cases"]:
        mask = nib.load(dataset / case_files(record["case"])["msk"])
        volume_ml = mask.get_fdata().sum() * 4 * 4.5 * 4.5 / 1000
        rows = lesions[(lesions.case == record["case"]) & (lesions.kind == "lesion")]
        assert rows.labelled_ml.sum() == pytest.approx(volume_ml, rel=1e-3)
        assert len(rows) == record["lesions"]
        inverse = np.linalg.inv(mask.affine)
        for row in rows[rows.volume_ml > 3].itertuples():
            voxel = inverse @ [row.x_mm, row.y_mm, row.z_mm, 1]
            near = tuple(slice(int(v) - 2, int(v) + 4) for v in voxel[:3])
            assert mask.get_fdata()[near].any()


@pytest.mark.integration
def test_same_seed_same_bytes_whatever_the_processes(dataset, tmp_path):
    write_dataset(tmp_path / "again", 3, 5, processes=2, **GRID)
    assert digests(tmp_path / "again") == digests(dataset)


def test_a_case_depends_on_seed_and_number_alone(dataset, tmp_path):
    write_dataset(tmp_path / "one", 1, 5, first_case=3, **GRID)
    one, whole = digests(tmp_path / "one"), digests(dataset)
    assert all(one[path] == whole[path] for path in case_files(case_name(3)).values())


def test_other_seeds_and_numbers_give_other_images(dataset, tmp_path):
    write_dataset(tmp_path / "other", 1, 6, **GRID)
    adc = case_files(case_name(1))["adc"]
    found = {digests(tmp_path / "other")[adc], *(digests(dataset)[case_files(case_name(i))["adc"]] for i in (1, 2, 3))}
    assert len(found) == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--shape", "48", "64"], "three whole numbers"),
        (["--shape", "4", "64", "64"], "too small"),
        (["--shape", "32", "32", "32", "--spacing", "2", "2", "2"], "at least 100 150 120 mm"),
        (["--spacing", "2", "0", "2"], "positive"),
        (["--spacing", "2", "2", "nan"], "positive"),
        (["--spacing", "2", "-2", "2"], "positive"),
        (["--spacing", "2"], "three"),
        (["--cases", "0"], "--cases 0"),
        (["--seed", "-1"], "--seed -1"),
        (["--processes", "0"], "--processes 0"),
        (["--lesions", "nowhere"], "nowhere: no such folder"),
    ],
    ids=" ".join,
)
def test_bad_input_is_one_line_and_writes_nothing(arguments, words, tmp_path, capfd):
    assert main(["phantom", "-o", str(tmp_path / "new"), *arguments]) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    assert words in error
    assert not any(tmp_path.iterdir())


def test_a_folder_in_use_is_kept(tmp_path, capfd):
    folder = tmp_path / "used"
    folder.mkdir()
    (folder / "mine.txt").write_text("keep")
    for overwrite in ([], ["--overwrite"]):
        assert main(["phantom", "-o", str(folder), "--cases", "1", *SMALL, *overwrite]) == 2
        error = capfd.readouterr().err
        assert error.count("\n") == 1
        assert "--overwrite" in error
    assert [p.name for p in folder.iterdir()] == ["mine.txt"]


def test_overwrite_replaces_an_older_phantom_whole(tmp_path, capfd):
    arguments = ["phantom", "-o", str(tmp_path / "old"), "--processes", "1", *SMALL]
    assert main([*arguments, "--cases", "2"]) == 0
    assert main([*arguments, "--cases", "1"]) == 2
    assert case_files(case_name(2))["adc"] in digests(tmp_path / "old")
    assert main([*arguments, "--cases", "1", "--overwrite"]) == 0
    assert case_files(case_name(2))["adc"] not in digests(tmp_path / "old")
    assert [p.name for p in tmp_path.iterdir()] == ["old"]


def test_a_folder_without_masks_is_one_line(tmp_path, capfd):
    (tmp_path / "atlas.nii.gz").write_text("")
    assert main(["phantom", "-o", str(tmp_path / "new"), "--anatomy", "mni", "--lesions", str(tmp_path)]) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    assert f"{tmp_path} holds no lesion masks" in error
    assert [p.name for p in tmp_path.iterdir()] == ["atlas.nii.gz"]


def test_a_mask_that_cannot_be_read_is_one_line_and_nothing_is_written(tmp_path, capfd):
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "sub-1_lesion.nii.gz").write_text("no image")
    assert main(["phantom", "-o", str(tmp_path / "new"), "--lesions", str(tmp_path / "masks"), "--processes", "1"]) == 2
    error = capfd.readouterr().err
    assert error.strip().count("\n") == 0
    assert "sub-1_lesion.nii.gz cannot be read" in error
    assert [p.name for p in tmp_path.iterdir()] == ["masks"]


@pytest.mark.integration
@pytest.mark.skipif("SIZEPENALTY_REAL_DATA" not in os.environ, reason="SIZEPENALTY_REAL_DATA is not set")
def test_real_masks_in_mni_anatomy(tmp_path):
    real = Path(os.environ["SIZEPENALTY_REAL_DATA"], "soop")
    arguments = ["--cases", "4", "--seed", "4", "--anatomy", "mni", "--lesions", str(real), *SMALL]
    for processes in ("1", "2"):
        assert main(["phantom", "-o", str(tmp_path / processes), "--processes", processes, *arguments]) == 0
    assert digests(tmp_path / "1") == digests(tmp_path / "2")
    about = json.loads((tmp_path / "1" / "phantom.json").read_text())
    assert (about["anatomy"], about["lesions"]) == ("mni", "427 masks")
    known = pd.read_csv(real / "lesion_volumes.csv").set_index("case")
    lesions = pd.read_csv(tmp_path / "1" / "lesions.csv").query("kind == 'lesion'")
    patients = [record["masks"][0] for record in about["cases"]]
    assert len(set(patients)) == 4
    for record in about["cases"]:
        own = known.loc[record["masks"][0]]
        drawn = lesions[lesions.case == record["case"]].volume_ml
        assert drawn.max() == pytest.approx(own.largest_ml, rel=1e-3)
        added = known.loc[record["masks"][1]].n_lesions_26 if len(record["masks"]) > 1 else 0
        assert len(drawn) <= own.n_lesions_26 + added
        # Give or take a voxel a lesion, as coarse as this grid is.
        voxel_ml = 4 * 4.5 * 4.5 / 1000
        assert record["lesion_ml"] == pytest.approx(drawn.sum(), rel=0.1, abs=voxel_ml * len(drawn))
