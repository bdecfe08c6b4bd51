"""`audit` as it is typed: what it prints, its exit codes, the plan that it takes, and what it refuses."""

import pytest

from nnunetv2_sizepenalty.cli.main import main


def audit(*arguments) -> int:
    return main(["audit", "-d", "500", "-np", "1", *map(str, arguments)])


def test_raw_data_alone(made, capsys):
    made()
    assert audit() == 0
    printed = capsys.readouterr().out
    assert "Dataset500_Made: 6 cases, 12 lesions" in printed
    assert "Nothing found." in printed
    assert "nnUNetv2_plan_and_preprocess -d 500" in printed
    assert "nnUNetv2_sizepenalty split -d 500" in printed
    assert "forced" not in printed.split("There is no plan")[0]


def test_with_a_plan_it_says_more(made, capsys):
    dataset = made()
    dataset.write_plans()
    dataset.write_folds(["a", "b", "c"], ["d", "e", "f"])
    assert audit() == 0
    printed = capsys.readouterr().out
    assert "nnUNetPlans 3d_fullres, patch 8x16x16, spacing 4 x 2 x 2 mm" in printed
    assert "6 of 6 cases are not preprocessed" in printed
    assert "nnUNetv2_preprocess -d 500 -plans_name nnUNetPlans -c 3d_fullres" in printed
    assert "The 2 folds of splits_final.json were looked at." in printed


@pytest.mark.parametrize(("spoil", "strict", "code"), [
    (False, False, 0), (False, True, 0), (True, False, 0), (True, True, 1),
])  # fmt: skip
def test_exit_code(made, capsys, spoil, strict, code):
    dataset = made()
    if spoil:
        dataset.label("b").unlink()
    assert audit(*["--strict"] * strict) == code
    assert ("1 error." in capsys.readouterr().out) == spoil


def test_notes_are_not_strict(made, capsys):
    dataset = made()
    dataset.write(dataset.label("b"), 0 * dataset.read(dataset.label("b")))
    assert audit("--strict") == 0
    assert "Nothing wrong; 1 note." in capsys.readouterr().out


@pytest.mark.integration
def test_many_places_are_cut_short_in_the_terminal_alone(made, capsys, tmp_path):
    dataset = made(cases=[f"case_{number}" for number in range(9)])
    for case in dataset.cases:
        dataset.label(case).write_bytes(b"")
    page = tmp_path / "page.html"
    assert audit("-o", page) == 0
    printed = capsys.readouterr().out
    assert "and 4 more" in printed
    assert f"see {page}" in printed
    assert all(f"case_{number}.nii.gz: " in page.read_text() for number in range(9))


@pytest.mark.integration
def test_several_processes_find_the_same(made, capsys):
    dataset = made()
    dataset.write_plans()
    assert main(["audit", "-d", "500", "-np", "2"]) == 0
    several = capsys.readouterr().out
    assert audit() == 0
    assert capsys.readouterr().out == several


@pytest.mark.parametrize(
    ("arguments", "plans", "message"),
    [
        (["-p", "Absent"], ["nnUNetPlans"], "-p Absent: "),
        (["-p", "Absent"], [], "nnUNetv2_plan_and_preprocess -d 500"),
        (["-c", "2d"], ["nnUNetPlans"], "-c 2d: not in "),
        (["-c", "2d"], [], "nnUNetv2_plan_and_preprocess -d 500"),
        ([], ["OnePlans", "OtherPlans"], "holds OnePlans, OtherPlans; name one with -p"),
        (["-o", "page.txt"], [], "-o page.txt: name a file that ends in .html"),
        (["-np", "0"], [], "-np 0"),
        (["-d", "501"], [], "-d 501"),
    ],
)
def test_refused_in_one_line(made, capsys, arguments, plans, message):
    dataset = made()
    for name in plans:
        dataset.write_plans(name)
    assert audit(*arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(("plans", "taken"), [
    (["nnUNetPlans", "nnUNetSizePenaltyPlans"], "nnUNetPlans 3d"), (["OnePlans"], "OnePlans 3d"),
])  # fmt: skip
def test_plan_that_is_taken_unasked(made, capsys, plans, taken):
    dataset = made()
    for name in plans:
        dataset.write_plans(name)
    assert audit() == 0
    assert taken in capsys.readouterr().out


@pytest.mark.parametrize("content", ["{}", "[]", "[{}]", "no JSON", "[1]"])
def test_broken_split_is_named(made, capsys, content):
    dataset = made()
    dataset.preprocessed.mkdir(parents=True)
    (dataset.preprocessed / "splits_final.json").write_text(content)
    assert audit() == 2
    assert "splits_final.json" in capsys.readouterr().err


def test_broken_settings_are_named(made, capsys):
    made(labels={"lesion": 1})
    assert audit() == 2
    assert "dataset.json: nnU-Net refuses it" in capsys.readouterr().err


def test_no_image_can_be_read(made, capsys):
    dataset = made()
    for path in (dataset.raw / "imagesTr").iterdir():
        path.write_bytes(b"")
    assert audit() == 2
    assert "no reader that reads" in capsys.readouterr().err
