"""`evaluate` and `froc` as they are typed."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from nnunetv2_sizepenalty.cli.main import main
from nnunetv2_sizepenalty.curves import read_froc
from nnunetv2_sizepenalty.evaluation import read_evaluation


@pytest.fixture
def folders(tmp_path):
    rng = np.random.default_rng(0)
    for case in ("a", "b"):
        reference = (rng.random((6, 16, 16)) < 0.05).astype(np.uint8)
        probability = np.clip(0.6 * reference + 0.5 * rng.random(reference.shape), 0, 1).astype(np.float32)
        for folder, array in (("ref", reference), ("pred", (probability > 0.5).astype(np.uint8))):
            (tmp_path / folder).mkdir(exist_ok=True)
            image = sitk.GetImageFromArray(array)
            image.SetSpacing((1.0, 1.0, 4.0))
            sitk.WriteImage(image, tmp_path / folder / f"{case}.nii.gz")
        np.savez(tmp_path / "pred" / f"{case}.npz", probabilities=np.stack([1 - probability, probability]))
    return tmp_path


def evaluate(folders, *options, out="out"):
    argv = ["evaluate", "-ref", folders / "ref", "-pred", folders / "pred", "-o", folders / out, "-np", 1, *options]
    return main([str(word) for word in argv])


@pytest.mark.integration
def test_evaluate_writes_tables_and_report(folders):
    assert evaluate(folders, "--protocol", "thesis", "--bins-ml", 0.5, "--nsd-mm", 2) == 0
    evaluation = read_evaluation(folders / "out")
    assert evaluation.summary.protocol == "thesis"
    assert evaluation.summary.settings["nsd_mm"] == 2
    assert evaluation.summary.edges == (0.5,)
    assert (folders / "out" / "report.html").stat().st_size > 0
    # Once more into the same folder, with rules of one's own.
    assert evaluate(folders, "--detection", "iou:0.2", "--min-mm3", 5) == 0
    assert read_evaluation(folders / "out").summary.protocol == "custom"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--protocol", "isles99"], "unknown; there are default, thesis"),
        (["--protocol", "thesis", "--min-voxels", "3"], "leave out --min-voxels"),
        (["--detection", "most"], "'most' is no rule"),
        (["--matching", "overlap"], "matching needs iou:T or dice:T"),
        (["--connectivity", "7"], "connectivity is 6, 18 or 26"),
        (["--bins-ml", "5", "1"], "bin edges must be positive and increasing"),
        (["-djfile", "nowhere.json"], "no nnU-Net dataset.json"),
        (["--groups", "nowhere.csv"], "cannot be read as CSV"),
    ],
)
def test_wrong_options_are_one_line_and_write_nothing(folders, capsys, options, says):
    assert evaluate(folders, *options) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not (folders / "out").exists()


def test_another_programs_summary_is_left_alone(folders, capsys):
    (folders / "pred" / "summary.json").write_text("{}")
    assert evaluate(folders, out="pred") == 2
    assert "summary.json of something else" in capsys.readouterr().err
    assert (folders / "pred" / "summary.json").read_text() == "{}"


def test_froc_writes_curves(folders, capsys):
    argv = ["froc", "-ref", folders / "ref", "-probabilities", folders / "pred", "-o", folders / "froc", "-np", 1]
    assert main([str(word) for word in argv]) == 0
    assert "lesion-wise average precision" in capsys.readouterr().out
    froc = read_froc(folders / "froc")
    assert froc.summary.cases == 2
    assert json.loads((folders / "froc" / "froc.json").read_text())["labels"].keys() == {"foreground"}
    assert main([*map(str, argv), "--protocol", "nothing"]) == 2
