"""What conversion refuses: one line that names the case, exit code 2, nothing written."""

import re

import numpy as np
import pytest

from nnunetv2_sizepenalty.dataset_conversion import Channels, convert_dataset, find_isles22
from nnunetv2_sizepenalty.errors import UserError


def broken(source, what):
    files = source.case("sub-2")
    values = source.values(0)
    if what in ("spacing", "origin", "direction"):
        change = {
            "spacing": {"spacing": (1.5, 1.51, 4.0)},
            "origin": {"origin": (-30.5, 12.26, 7.0)},
            "direction": {"degrees": 13},
        }
        source.write(files["dwi"], values["dwi"], **change[what])
    elif what == "mask grid":
        source.write(files["msk"], values["msk"][:, :, :-1])
    elif what == "4D":
        source.write(files["adc"], np.stack([values["adc"]] * 2))
    elif what == "2D":
        source.write(files["adc"], values["adc"][0])
    elif what == "components":
        source.write(files["adc"], np.stack([values["adc"]] * 3, axis=-1)[0])
    elif what in ("NaN", "inf"):
        values["dwi"][1, 2, 3] = float(what)
        source.write(files["dwi"], values["dwi"])
    elif what == "constant":
        source.write(files["dwi"], np.full_like(values["dwi"], 3))
    elif what == "nearly constant":
        source.write(files["dwi"], np.where(np.arange(720).reshape(source.shape) == 5, 1.0, 0.0))
    elif what == "label 2":
        source.write(files["msk"], values["msk"] * 2)
    elif what == "label 0.5":
        source.write(files["msk"], values["msk"] * 0.5)
    elif what == "no dwi":
        files["dwi"].unlink()
    elif what == "not an image":
        files["dwi"].write_text("nothing")


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("spacing", "DWI and ADC lie on different grids: spacing"),
        ("origin", "DWI and ADC lie on different grids: origin"),
        ("direction", "DWI and ADC lie on different grids: direction"),
        ("mask grid", "mask and ADC lie on different grids: size"),
        ("4D", "ADC .*_adc.nii.gz is 4D, expected one 3D volume"),
        ("2D", "ADC .*_adc.nii.gz is 2D, expected one 3D volume"),
        ("NaN", "DWI .*_dwi.nii.gz holds NaN"),
        ("inf", "DWI .*_dwi.nii.gz holds NaN or infinite"),
        ("constant", "DWI is constant \\(3 everywhere\\)"),
        ("nearly constant", "DWI cannot be scaled: 1st and 99th percentile are both 0"),
        ("label 2", "the mask holds 2, expected"),
        ("label 0.5", "the mask holds 0.5, expected"),
        ("no dwi", "no file for dwi"),
        ("not an image", "DWI .* cannot be read"),
    ],
)
def test_refused_in_one_line_with_nothing_written(source, nnunet, capsys, what, message, convert):
    source.case("sub-1")
    broken(source, what)
    assert convert("isles22", source.root, "-d", "7") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    assert re.search(f"case sub-2_ses-0001: .*{message}", error), error
    assert not list((nnunet / "raw").iterdir()) if (nnunet / "raw").exists() else True


def test_all_refused_cases_are_named(source, nnunet):
    for name in ("sub-1", "sub-2", "sub-3"):
        files = source.case(name)
        if name != "sub-2":
            source.write(files["msk"], source.values(0)["msk"] * 7)
    with pytest.raises(UserError, match=r"case sub-1_ses-0001: the mask holds 7.*\(refused too: sub-3_ses-0001\)"):
        convert_dataset(find_isles22(source.root), 7, "X", channels=Channels())


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["-d", "0"], "between 1 and 999"),
        (["-d", "1000"], "between 1 and 999"),
        (["-d", "7", "-n", "a__b"], "single '_'"),
        (["-d", "7", "-n", "a/b"], "-n a/b"),
        (["-d", "7", "-n", ""], "-n"),
        (["-d", "8"], "in use by Dataset008_Other"),
        (["-d", "8", "--overwrite"], "in use by Dataset008_Other"),
        (["-d", "9"], "in use by Dataset009_Trained"),
        (["-d", "10"], "Dataset010_ISLES22 exists"),
        (["-d", "7", "--spacing", "1", "0", "1"], "three positive numbers"),
        (["-d", "7", "--processes", "0"], "at least 1"),
    ],
)
def test_id_name_and_options_are_refused(source, nnunet, capsys, args, message, convert):
    source.case("sub-1")
    for path in ("raw/Dataset008_Other", "results/Dataset009_Trained", "preprocessed/Dataset010_ISLES22"):
        (nnunet / path).mkdir(parents=True)
    assert convert("isles22", source.root, *args) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in (nnunet / "raw").iterdir()] == ["Dataset008_Other"]


def test_without_nnunet_raw(source, monkeypatch, capsys, convert):
    monkeypatch.delenv("nnUNet_raw", raising=False)
    source.case("sub-1")
    assert convert("isles22", source.root, "-d", "7") == 2
    assert "nnUNet_raw is not set" in capsys.readouterr().err


def test_overwrite_replaces_the_dataset_whole_and_a_refusal_leaves_the_old_one(source, nnunet):
    source.case("sub-1")
    folder = convert_dataset(find_isles22(source.root), 7, "X", channels=Channels())
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    source.write(source.path("sub-1", "msk"), source.values(0)["msk"] * 7)
    with pytest.raises(UserError, match="holds 7"):
        convert_dataset(find_isles22(source.root), 7, "X", channels=Channels(), overwrite=True)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    for path in source.root.rglob("sub-1*.nii.gz"):
        path.unlink()
    source.case("sub-9")
    convert_dataset(find_isles22(source.root), 7, "X", channels=Channels(), overwrite=True)
    assert {path.name[:5] for path in folder.rglob("*.nii.gz")} == {"sub-9"}
    assert [path.name for path in folder.parent.iterdir()] == ["Dataset007_X"]


@pytest.mark.parametrize("inside", ["sources", "other files"])
def test_images_never_replace_what_is_not_theirs(source, tmp_path, capsys, inside, convert):
    files = source.case("sub-1")
    out = files["adc"].parent if inside == "sources" else tmp_path / "out"
    out.mkdir(exist_ok=True)
    (out / "notes.txt").touch()
    args = ["images", "--adc", files["adc"], "--dwi", files["dwi"], "-o", out, "--overwrite"]
    assert convert(*args) == 2
    assert str(out) in capsys.readouterr().err
    assert (out / "notes.txt").exists()
    assert files["adc"].exists()


@pytest.mark.parametrize(
    "args", [[], ["--adc", "a"], ["--csv", "c", "--adc", "a", "--dwi", "d"], ["--csv", "c", "--labels", "l"]]
)
def test_folder_takes_either_patterns_or_a_csv(nnunet, capsys, args, convert):
    assert convert("folder", "-d", "7", *args) == 2
    assert "either --csv, or --adc and --dwi" in capsys.readouterr().err
