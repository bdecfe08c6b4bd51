"""Which files make up a case: BIDS names, patterns, folders, CSV."""

import pandas as pd
import pytest

from nnunetv2_sizepenalty.dataset_conversion import find_by_patterns, find_isles22, read_csv
from nnunetv2_sizepenalty.errors import UserError


@pytest.fixture
def touch(tmp_path):
    def touch(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()

    return touch


def test_isles22_layouts(touch, tmp_path):
    touch(
        "rawdata/sub-strokecase0002/ses-0001/sub-strokecase0002_ses-0001_adc.nii.gz",
        "rawdata/sub-strokecase0002/ses-0001/sub-strokecase0002_ses-0001_dwi.nii.gz",
        "rawdata/sub-strokecase0002/ses-0001/sub-strokecase0002_ses-0001_flair.nii.gz",
        "derivatives/sub-strokecase0002/ses-0001/sub-strokecase0002_ses-0001_msk.nii.gz",
        "sub-strokecase0001/ses-0001/dwi/sub-strokecase0001_ses-0001_adc.nii",
        "sub-strokecase0001/ses-0001/dwi/sub-strokecase0001_ses-0001_dwi.nii.gz",
        "sub-strokecase0001/ses-0001/dwi/sub-strokecase0001_ses-0001_dwi.json",
        "sub-strokecase0001/ses-0001/dwi/._sub-strokecase0001_ses-0001_dwi.nii.gz",
        "derivatives/sub-strokecase0001/ses-0001/sub-strokecase0001_ses-0001_msk.nii.gz",
    )
    cases = find_isles22(tmp_path)
    assert [case.name for case in cases] == ["sub-strokecase0001_ses-0001", "sub-strokecase0002_ses-0001"]
    assert cases[0].adc.name.endswith("_adc.nii")
    assert [case.label.name[-11:] for case in cases] == ["_msk.nii.gz"] * 2


@pytest.mark.parametrize(
    ("files", "patterns", "names"),
    [
        (["a1_adc.mha", "a2_adc.mha", "a1_dwi.mha", "a2_dwi.mha"], ("*_adc.mha", "*_dwi.mha"), ["a1", "a2"]),
        (["p1/p1_d_adc.nrrd", "p1/p1_d_dwi.nrrd"], ("*/*_adc.nrrd", "*/*_dwi.nrrd"), ["p1_d"]),
        (["p1/adc.nii", "p2/adc.nii", "p1/x.nii", "p2/x.nii"], ("*/adc.nii", "*/x.nii"), ["p1", "p2"]),
        (["ADC/c07.nii", "DWI/c07_DWI.nii.gz", "ADC/c17-adc.nii", "DWI/c17.nii"], ("ADC", "DWI"), ["c07", "c17"]),
        (["x_adc.nii", "x_dwi.nii"], ("x_adc.nii", "x_dwi.nii"), ["x"]),
        (["k1_adc.nii", "k12_adc.nii", "k1_dwi.nii", "k12_dwi.nii"], ("k?_adc.nii", "k?_dwi.nii"), ["1"]),
        (["ka_adc.nii", "kb_adc.nii", "ka_dwi.nii", "kb_dwi.nii"], ("k[!a]_adc.nii", "k[b-z]_dwi.nii"), ["b"]),
    ],
    ids=["pattern", "nested", "folder name", "folders", "single files", "question mark", "class"],
)
def test_names_come_from_what_varies(touch, tmp_path, monkeypatch, files, patterns, names):
    touch(*files)
    assert [case.name for case in find_by_patterns(*(str(tmp_path / p) for p in patterns))] == names
    monkeypatch.chdir(tmp_path)
    assert [case.name for case in find_by_patterns(*(f"./{p}" for p in patterns))] == names


def test_csv_keeps_names_as_written_and_reads_paths_from_its_own_folder(touch, tmp_path):
    touch("img/1a.nii", "img/1d.nii", "img/1m.nii", "img/2a.nii", "img/2d.nii")
    rows = [("007", "img/1a.nii", "img/1d.nii", "img/1m.nii"), ("1e5", "img/2a.nii", "img/2d.nii", "")]
    pd.DataFrame(rows, columns=["case", "adc", "dwi", "label"]).to_csv(tmp_path / "cases.csv", index=False)
    cases = read_csv(tmp_path / "cases.csv")
    assert [case.name for case in cases] == ["007", "1e5"]
    assert cases[0].label == tmp_path / "img/1m.nii"
    assert cases[1].label is None


@pytest.mark.parametrize(
    ("files", "what"),
    [
        (["s1_adc.nii", "s1_msk.nii"], "case s1: no file for dwi"),
        (["s1_adc.nii", "s1_dwi.nii"], "case s1: no file for label"),
        (["s1_adc.nii", "s1_dwi.nii", "s1_msk.nii", "b/s1_dwi.nii.gz"], "case s1: two files for dwi"),
        (["s 1_adc.nii", "s 1_dwi.nii", "s 1_msk.nii"], "'s 1' cannot name a case"),
        (["s1_flair.nii"], "no \\*_adc"),
    ],
    ids=["no dwi", "no mask", "two files", "name", "nothing"],
)
def test_isles22_refuses(touch, tmp_path, files, what):
    touch(*files)
    with pytest.raises(UserError, match=what):
        find_isles22(tmp_path)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("case,adc\n1,a.nii\n", "column dwi missing"),
        ("case,adc,dwi\n1,a.nii,\n", "case 1: no file for dwi"),
        ("case,adc,dwi\n1,a.nii,a.nii\n1,a.nii,a.nii\n", "case 1: two files for adc"),
        ("case,adc,dwi\n1,a.nii,nowhere.nii\n", "case 1: .*nowhere.nii .* does not exist"),
        ("", "cannot be read as a CSV"),
    ],
    ids=["column", "empty", "twice", "no such file", "no table"],
)
def test_csv_refuses(touch, tmp_path, text, what):
    touch("a.nii")
    (tmp_path / "cases.csv").write_text(text)
    with pytest.raises(UserError, match=what):
        read_csv(tmp_path / "cases.csv")


@pytest.mark.parametrize(
    ("adc", "what"),
    [("*_t1.nii", "matches no"), ("nowhere", "no such file or folder"), ("**/*.nii", r"\*\* is not supported")],
)
def test_patterns_refuse(touch, tmp_path, adc, what):
    touch("a_adc.nii", "a_dwi.nii")
    with pytest.raises(UserError, match=what):
        find_by_patterns(str(tmp_path / adc), str(tmp_path / "*_dwi.nii"))
