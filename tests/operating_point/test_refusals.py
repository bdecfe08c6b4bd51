"""What `threshold` refuses, in one line and before anything is written."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from batchgenerators.utilities.file_and_folder_operations import save_pickle
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

from nnunetv2_sizepenalty.cli.main import main
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.operating_point import choose_operating_point, read_operating_point


def no_npz(model):
    (model.path / "fold_1" / "validation" / "case_03.npz").unlink()


def truncated(model):
    file = model.path / "fold_1" / "validation" / "case_03.npz"
    file.write_bytes(file.read_bytes()[:-4000])


def another_shape(model):
    np.savez(model.path / "fold_1" / "validation" / "case_03.npz", probabilities=np.zeros((2, 3, 4, 5), np.float32))


def other_heads(model):
    file = model.path / "fold_1" / "validation" / "case_03.npz"
    np.savez(file, probabilities=np.load(file)["probabilities"][:1])


def not_a_number(model):
    file = model.path / "fold_1" / "validation" / "case_03.npz"
    np.savez(file, probabilities=np.load(file)["probabilities"] * np.float32(np.nan))


def no_cases(model):
    (model.path / "fold_1" / "validation" / "summary.json").write_text('{"metric_per_case": []}')


def no_split(model):
    (model.path / "fold_1" / "validation" / "summary.json").unlink()


def no_reference(model):
    (model.references / "case_03.nii.gz").unlink()


def no_fold(model):
    shutil.rmtree(model.path / "fold_1")


def no_plans(model):
    (model.path / "plans.json").unlink()


def above_one(model):
    file = model.path / "fold_1" / "validation" / "case_03.npz"
    np.savez(file, probabilities=np.load(file)["probabilities"] * np.float32(1.5))


def unknown_label(model):
    file = str(model.references / "case_03.nii.gz")
    array, image = read(file)
    array[0, 0, 0] = 3
    write(file, array, image)


def another_place(model):
    """The file that nnU-Net writes beside the probabilities says where the image lies."""
    _, properties = SimpleITKIO().read_seg(str(model.references / "case_03.nii.gz"))
    properties["sitk_stuff"]["origin"] = (0.0, 0.0, 30.0)
    save_pickle(properties, str(model.path / "fold_1" / "validation" / "case_03.pkl"))


def no_lesion(model):
    for file in model.references.iterdir():
        array, image = read(str(file))
        write(str(file), 0 * array, image)


def read(file):
    image = SimpleITK.ReadImage(file)
    return SimpleITK.GetArrayFromImage(image), image


def write(file, array, like):
    image = SimpleITK.GetImageFromArray(array)
    image.CopyInformation(like)
    SimpleITK.WriteImage(image, file)


def trained_on_its_cases(model):
    """A split whose fold 1 trains on a case that it validates."""
    folder = Path(os.environ["nnUNet_preprocessed"]) / "Dataset042_Test"
    folder.mkdir(parents=True)
    cases = {fold: sorted(p.stem for p in (model.path / f"fold_{fold}" / "validation").glob("*.npz")) for fold in "01"}
    split = [{"train": cases["1"], "val": cases["0"]}, {"train": [*cases["0"], cases["1"][0]], "val": cases["1"]}]
    (folder / "splits_final.json").write_text(json.dumps(split))


def another_split(model):
    """The split was changed after the training: a case that fold 1 trained on validates it now."""
    folder = Path(os.environ["nnUNet_preprocessed"]) / "Dataset042_Test"
    folder.mkdir(parents=True)
    first, second = (
        sorted(p.stem for p in (model.path / f"fold_{fold}" / "validation").glob("*.npz")) for fold in "01"
    )
    split = [{"train": second, "val": first}, {"train": first[1:], "val": [first[0], *second]}]
    (folder / "splits_final.json").write_text(json.dumps(split))


def broken_json(model):
    (model.path / "dataset.json").write_text("{")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (no_npz, "`nnUNetv2_train Dataset042_Test 3d_fullres 1 -tr nnUNetTrainer -p nnUNetPlans --val --npz`"),
        (truncated, "case_03.npz can't be read"),
        (another_shape, "case_03.npz has the shape (2, 3, 4, 5)"),
        (other_heads, "case_03.npz has the shape (1, 24, 32, 32), reference and labels need (2, 24, 32, 32)"),
        (not_a_number, "no probabilities"),
        (above_one, "case_03.npz holds values that are no probabilities"),
        (unknown_label, "case_03.nii.gz holds the values [3], which dataset.json doesn't know"),
        (another_place, "case_03.npz lies on another grid"),
        (no_lesion, "holds a lesion of lesion: there is nothing to choose on"),
        (trained_on_its_cases, "fold 1 trains on 1 of the cases that it validates, such as case_01"),
        (another_split, "has changed since fold 1 was validated: it may have trained on case_00"),
        (no_cases, "empty validation set"),
        (no_split, "says which cases validate it"),
        (no_reference, "reference of case_03 is missing"),
        (no_fold, "fold_1 is missing"),
        (no_plans, "no results folder"),
        (broken_json, "dataset.json can't be read"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_bad_input_is_one_line_and_exit_code_2(small_folds, tmp_path, capsys, damage, message, monkeypatch):
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "preprocessed"))
    damage(small_folds)
    out = tmp_path / "out"
    arguments = [str(small_folds.path), "-f", "0", "1", "-o", str(out), "-ref", str(small_folds.references), "-np", "1"]
    assert main(["threshold", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.strip().count("\n") == 0
    assert not list(tmp_path.rglob("operating_point*"))
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--thresholds", "0.5", "1"], "between 0 and 1"),
        (["--thresholds", "many"], "could not convert"),
        (["--min-voxels", "-3"], "0 (no filter) or more"),
        (["--objective", "dice", "auc"], "sensitivity@2"),
        (["--class", "tumour"], "no class tumour; it has lesion"),
        (["--step-size", "0.25"], "belongs to --predict"),
        (["-f", "0", "--cross-fit"], "several folds"),
        (["--predict", "-device", "cpu"], "checkpoint_final.pth is missing"),
        (["--objective", "sensitivity@0", "--thresholds", "0.01"], "more false positives"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_senseless_options_are_one_line_and_exit_code_2(small_folds, tmp_path, capsys, options, message):
    arguments = [str(small_folds.path), "-o", str(tmp_path / "out"), "-ref", str(small_folds.references), "-np", "1"]
    assert main(["threshold", *arguments, *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.strip().count("\n") == 0


def test_fold_all_is_refused_with_the_command_that_makes_held_out_probabilities(small_folds, tmp_path, capsys):
    (small_folds.path / "fold_0").rename(small_folds.path / "fold_all")
    arguments = [str(small_folds.path), "-o", str(tmp_path / "out"), "-ref", str(small_folds.references), "-np", "1"]
    assert main(["threshold", *arguments, "-f", "all"]) == 2
    error = capsys.readouterr().err
    assert "fold_all trained on the cases that it validates" in error
    assert "`nnUNetv2_train Dataset042_Test 3d_fullres FOLD -tr nnUNetTrainer -p nnUNetPlans --npz`" in error
    assert error.strip().count("\n") == 0
    assert not (tmp_path / "out").exists()
    # beside others it is left out unless it is named
    assert main(["threshold", *arguments]) == 0
    assert list(read_operating_point(tmp_path / "out").cuts) == ["1", "ensemble"]


def test_nothing_is_counted_before_a_cross_fit_is_refused(small_folds, tmp_path):
    with pytest.raises(UserError, match="several folds"):
        choose_operating_point(small_folds, tmp_path / "out", folds=["0"], with_cross_fit=True)
    assert not list(tmp_path.rglob("*operating_point*"))


def test_another_detection_is_refused_unless_it_is_known(small_folds, capsys):
    assert main(["threshold", str(small_folds.path), "--detection", "share:2"]) == 2
    assert "--detection: 'share:2' is no rule" in capsys.readouterr().err


def test_an_output_below_a_file_is_one_line_and_exit_code_2(small_folds, tmp_path, capsys):
    (tmp_path / "file").touch()
    arguments = [str(small_folds.path), "-o", str(tmp_path / "file" / "out"), "-ref", str(small_folds.references)]
    assert main(["threshold", *arguments, "-np", "1"]) == 2
    assert "can't be written" in capsys.readouterr().err
