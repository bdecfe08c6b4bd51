"""Which cases a fold is scored on, and the links to them."""

import json

import pytest

from nnunetv2_sizepenalty.ablation.cases import read_parts, write_inputs
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.dataset import Dataset

SPLITS = [{"train": ["b"], "val": ["c", "a"]}, {"train": ["a", "c"], "val": ["b"]}]


@pytest.fixture
def dataset(tmp_path):
    """Cases a, b, c and ab with two channels each."""
    raw, preprocessed = tmp_path / "raw", tmp_path / "preprocessed"
    for folder in (raw / "imagesTr", raw / "labelsTr", preprocessed):
        folder.mkdir(parents=True)
    cases = ("a", "ab", "b", "c")
    for case in cases:
        (raw / "labelsTr" / f"{case}.nii.gz").touch()
        for channel in range(2):
            (raw / "imagesTr" / f"{case}_{channel:04d}.nii.gz").touch()
    labels = {case: raw / "labelsTr" / f"{case}.nii.gz" for case in cases}
    return Dataset("Dataset042_Strokes", raw, preprocessed, labels, {"file_ending": ".nii.gz"})


def write_split(dataset, tests=None):
    (dataset.folder / "splits_final.json").write_text(json.dumps(SPLITS))
    if tests is not None:
        (dataset.folder / "test_folds.json").write_text(json.dumps([{"test": cases} for cases in tests]))


@pytest.mark.parametrize("tests", [None, [[], []]], ids=["no file", "empty lists"])
def test_without_a_test_part_the_validation_cases_are_scored(dataset, tests):
    write_split(dataset, tests)
    parts = read_parts(dataset, [0, 1])
    assert (parts[0].validation, parts[0].scored, parts[0].cross_fitted) == (("a", "c"), ("a", "c"), True)
    with pytest.raises(UserError, match=r"one fold can't choose .*two folds or more, or .*--holdout"):
        read_parts(dataset, [0])


def test_a_test_part_is_scored_and_one_fold_is_enough(dataset):
    write_split(dataset, [["ab"], ["ab"]])
    part = read_parts(dataset, [1])[1]
    assert (part.validation, part.scored, part.cross_fitted) == (("b",), ("ab",), False)


def test_what_does_not_fit_is_named(dataset):
    with pytest.raises(UserError, match=r"splits_final.json is missing.*split -d Dataset042_Strokes"):
        read_parts(dataset, [0])
    write_split(dataset, [["ab"], []])
    with pytest.raises(UserError, match="folds 0 to 1: leave out fold 7"):
        read_parts(dataset, [0, 7])
    with pytest.raises(UserError, match="fold 1 has no test part and others do"):
        read_parts(dataset, [0, 1])


def test_inputs_are_links_and_stay_while_they_are_right(dataset, tmp_path):
    write_split(dataset, [["ab", "a"], ["b"]])
    parts = read_parts(dataset, [0, 1])
    raw, folder = tmp_path / "raw", tmp_path / "inputs"
    write_inputs(dataset, parts[0], folder)
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.nii.gz"))
    assert files == [
        "images/a_0000.nii.gz", "images/a_0001.nii.gz", "images/ab_0000.nii.gz", "images/ab_0001.nii.gz",
        "labels/a.nii.gz", "labels/ab.nii.gz",
    ]  # fmt: skip
    assert (folder / "images/ab_0001.nii.gz").resolve() == raw / "imagesTr" / "ab_0001.nii.gz"
    stamp = (folder / "cases.json").stat().st_mtime_ns
    write_inputs(dataset, parts[0], folder)
    assert (folder / "cases.json").stat().st_mtime_ns == stamp
    write_inputs(dataset, parts[1], folder)
    assert {path.name for path in (folder / "labels").iterdir()} == {"b.nii.gz"}


def test_files_named_in_dataset_json_get_nnunets_names(dataset, tmp_path):
    write_split(dataset, [["a"], ["b"]])
    raw = tmp_path / "raw"
    for name in ("scan.nii.gz", "other.nii.gz"):
        (raw / name).touch()
    dataset.settings["dataset"] = {"a": {"images": ["scan.nii.gz", "other.nii.gz"], "label": "labelsTr/a.nii.gz"}}
    write_inputs(dataset, read_parts(dataset, [0])[0], tmp_path / "inputs")
    assert (tmp_path / "inputs/images/a_0001.nii.gz").resolve() == raw / "other.nii.gz"


def test_a_missing_image_or_reference_is_named(dataset, tmp_path):
    write_split(dataset, [["a"], ["b"]])
    parts = read_parts(dataset, [0, 1])
    (tmp_path / "raw/labelsTr/a.nii.gz").unlink()
    with pytest.raises(UserError, match=r"labelsTr/a.nii.gz is missing"):
        write_inputs(dataset, parts[0], tmp_path / "inputs")
    for path in (tmp_path / "raw/imagesTr").glob("b_*"):
        path.unlink()
    with pytest.raises(UserError, match="no image of b"):
        write_inputs(dataset, parts[1], tmp_path / "inputs")
