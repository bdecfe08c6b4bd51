"""What `evaluate` refuses before it scores, what it prints, and groups of one case."""

import os
import shutil
import subprocess

import numpy as np
import pytest
import SimpleITK as sitk
from nnunet_commands import script

from nnunetv2_sizepenalty.cli.main import main
from nnunetv2_sizepenalty.evaluation import read_evaluation
from nnunetv2_sizepenalty.report.tables import group_table

CASES = ("a", "b", "c")


def write(path, array):
    path.parent.mkdir(exist_ok=True, parents=True)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((10.0, 10.0, 10.0))  # a voxel is 1 mL
    sitk.WriteImage(image, path)


@pytest.fixture
def folders(tmp_path):
    """Case a: lesions of 1 and 6 mL, the first missed; b: one of 2 mL, found, and a false positive of 3; c: nothing."""
    masks = np.zeros((3, 2, 5, 12, 12), np.uint8)
    masks[0, :, 1, 2, 2:8] = masks[0, 0, 3, 9, 9] = 1
    masks[1, :, 1, 2, 2:4] = masks[1, 1, 3, 9, 2:5] = 1
    for case, (reference, prediction) in zip(CASES, masks, strict=True):
        write(tmp_path / "ref" / f"{case}.nii.gz", reference)
        write(tmp_path / "pred" / f"{case}.nii.gz", prediction)
        write(tmp_path / "img" / f"{case}_0000.nii.gz", np.random.default_rng(0).random((5, 12, 12)).astype(np.float32))
    return tmp_path


def words(folders, *options, ref="ref", pred="pred"):
    folder = {"-ref": folders / ref, "-pred": folders / pred, "-o": folders / "out"}
    return ["evaluate", "-np", "1", *(str(word) for pair in folder.items() for word in pair), *map(str, options)]


@pytest.fixture
def refused(folders, capsys, monkeypatch):
    """Runs the command, which must refuse in one line before it scores or writes; returns the line."""

    def run(*options, **named):
        monkeypatch.setattr("nnunetv2_sizepenalty.evaluation.folder.map_cases", lambda *_, **__: pytest.fail("scored"))
        assert main(words(folders, *options, **named)) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1, error
        assert not (folders / "out").exists()
        return error

    return run


FIVE_LINES = """\
lesions found   2 of 3 (67 %) in 3 cases
by size         < 1 mL 0 of 0, 1-5 mL 1 of 2, >= 5 mL 1 of 1
false positives 1 (0.333 per case, 3.00 mL)
Dice            mean 0.747 (undefined in 1), mean volume error 0.667 mL (absolute 1.33 mL)
report          {report}
"""


def test_the_result_is_five_lines(folders, capsys):
    assert main(words(folders, "--images", folders / "img", "--cases", "c")) == 0
    printed = capsys.readouterr()
    assert printed.out == FIVE_LINES.format(report=folders / "out" / "report.html")
    assert printed.err == ""


@pytest.mark.integration
def test_the_installed_command(folders):
    done = subprocess.run(
        [script("nnUNetv2_sizepenalty"), *words(folders, "--images", folders / "img", "--instances", "reference")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    # each reference holds one value: one lesion, found, where components gave two
    assert done.stdout.splitlines()[0] == "lesions found   2 of 2 (100 %) in 3 cases"
    assert done.stdout.splitlines()[-1].endswith(str(folders / "out" / "report.html"))
    assert "WARNING: no reference holds more than one lesion id" in done.stderr
    evaluation = read_evaluation(folders / "out")
    assert evaluation.summary.settings["instances"] == "reference"
    assert (folders / "out" / "report.html").stat().st_size > 0
    again = subprocess.run(
        [script("nnUNetv2_sizepenalty"), *words(folders, pred="ref")], capture_output=True, text=True
    )
    assert again.returncode == 2
    assert "is reference and prediction at once" in again.stderr


def test_unused_and_missing_predictions_are_named(folders, capsys):
    (folders / "pred" / "b.nii.gz").rename(folders / "pred" / "b_0000.nii.gz")
    assert main(words(folders, "--allow-missing")) == 0
    printed = capsys.readouterr()
    assert printed.err.splitlines() == [
        "WARNING: 1 reference without a prediction, scored as missed: b",
        "WARNING: 1 prediction without a reference, unused: b_0000",
    ]
    assert printed.out.startswith("lesions found   1 of 3 (33 %)")


def test_images_are_looked_for_first(folders, refused):
    assert "--images " in (line := refused("--images", folders / "nowhere")) and "no such folder" in line
    (folders / "img" / "b_0000.nii.gz").unlink()
    assert "no image of 1 of 3 cases, such as b (b_0000" in refused("--images", folders / "img")
    assert "--channel 3: no such channel" in refused("--images", folders / "ref", "--channel", "3")


def test_an_image_of_another_shape_leaves_nothing(folders, capsys):
    write(folders / "img" / "a_0000.nii.gz", np.zeros((5, 12, 11), np.float32))
    assert main(words(folders, "--images", folders / "img", "--cases", "a")) == 2
    assert "a_0000.nii.gz: (5, 12, 11) instead of" in capsys.readouterr().err
    assert not (folders / "out").exists()


def test_cases_for_the_viewer_are_known_and_named_once(refused):
    assert "--cases: d not among the 3 cases to evaluate, such as a" in refused("--cases", "a", "d")
    assert "--cases: b is named twice" in refused("--cases", "b", "a", "b")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("name,site\na,north\n", "it needs case"),
        ("case\na\nb\nc\n", "it needs case and a column to group by"),
        ("case,site\na,north\n", "no row for b, c; add them"),
        ("case,site\na,x\nb,x\nc,x\nb,y\n", "b has several rows"),
    ],
)
def test_groups_are_checked_first(folders, refused, content, says):
    table = folders / "groups.csv"
    table.write_text(content)
    assert says in refused("--groups", table)


def test_the_references_are_no_predictions(folders, refused, monkeypatch):
    says = "is reference and prediction at once; name two folders of masks"
    assert says in refused(pred="ref")
    (folders / "link").symlink_to(folders / "ref")
    assert says in refused(pred="link")
    monkeypatch.chdir(folders / "pred")
    assert says in refused(pred=os.path.relpath(folders / "ref", folders / "pred") and folders / "pred" / ".." / "ref")
    # a folder of links to single references
    for case in CASES[1:]:
        (folders / "pred" / f"{case}.nii.gz").unlink()
        (folders / "pred" / f"{case}.nii.gz").symlink_to(folders / "ref" / f"{case}.nii.gz")
    assert f"b.nii.gz {says}" in refused()


@pytest.mark.parametrize("sign", ["predict_from_raw_data_args.json", "plans.json", "b.npz"])
def test_predictions_of_nnunet_are_no_references(folders, refused, sign):
    (folders / "ref" / sign).write_text("{}")
    assert f"{folders / 'ref'}: holds predictions of nnU-Net ({sign})" in refused()


def test_a_trainings_validation_is_no_reference(folders, refused):
    shutil.copytree(folders / "ref", folders / "validation")
    (folders / "validation" / "summary.json").write_text("{}")
    assert "holds predictions of nnU-Net (summary.json)" in refused(ref="validation")


def test_what_lies_in_a_folder_of_references_does_not_hinder(folders):
    for name in ("dataset.json", "summary.json", "d.npz"):
        (folders / "ref" / name).write_text("{}")
    assert main(words(folders)) == 0


def test_a_group_of_one_case_is_shown_and_not_summed_up(folders):
    (folders / "groups.csv").write_text("case,site,reader\na,north,x\nb,north,y\nc,south,z\n")
    assert main(words(folders, "--groups", folders / "groups.csv")) == 0
    evaluation = read_evaluation(folders / "out")
    groups = evaluation.summary.labels["foreground"].groups
    site, reader = groups["site"], groups["reader"]
    assert (list(site.tables), site.single_cases, site.mean_of_means) == (["north"], {"south": "c"}, {})
    assert (reader.tables, reader.single_cases) == ({}, {"x": "a", "y": "b", "z": "c"})
    table = group_table(reader, "reader", evaluation.cases)
    dice = evaluation.cases["dice"].tolist()
    assert [row[0].text for row in table.rows] == ["x", "y", "z"]
    assert [row[1].text for row in table.rows] == ["1", "1", "1"]
    assert [row[2].text for row in table.rows] == [f"{dice[0]:.3f}", f"{dice[1]:.3f}", "–"]
    assert not any(cell.sub for row in table.rows for cell in row[2:])
    rows = group_table(site, "site", evaluation.cases).rows
    assert [row[0].text for row in rows] == ["north", "south"]
