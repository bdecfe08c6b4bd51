"""`evaluate` and `froc` as they are typed."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from nnunetv2_sizepenalty.cli.main import main
from nnunetv2_sizepenalty.curves import read_froc
from nnunetv2_sizepenalty.evaluation import read_evaluation
from nnunetv2_sizepenalty.evaluation.share_check import Oversized


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


@pytest.mark.integration
def test_what_swallows_lesions_is_named_with_the_detection_rate_under_both_rules(tmp_path, capsys):
    """In `a` a component of 400 voxels covers both lesions of 4 voxels; in `b` a single lesion is found."""
    for case in ("a", "b"):
        reference, prediction = np.zeros((6, 24, 24), np.uint8), np.zeros((6, 24, 24), np.uint8)
        reference[2, 2:4, 2:4] = 1
        prediction[2, 2:4, 2:4] = 1
        if case == "a":
            reference[2, 18:20, 18:20] = 1
            prediction[2, 1:21, 1:21] = 1
        for folder, mask in (("ref", reference), ("pred", prediction)):
            (tmp_path / folder).mkdir(exist_ok=True)
            sitk.WriteImage(sitk.GetImageFromArray(mask), tmp_path / folder / f"{case}.nii.gz")
    assert evaluate(tmp_path) == 0
    warning = capsys.readouterr().err
    # The share rule: 4 of about 188 voxels around each lesion.
    assert warning == (
        "WARNING: foreground: predicted components of more than 10 times the volume of the lesions that they touch "
        "(where they touch none, of all in the case): a lesion 1 (50 x). The protocol finds 3 of 3 lesions (100%) with "
        "0 false positives, the share rule 1 of 3 lesions (33%) with 1 false positives\n"
    )
    evaluation = read_evaluation(tmp_path / "out")
    share = evaluation.summary.labels["foreground"].share
    assert (share.detected, share.detected_by_share) == (3, 1)
    assert share.oversized == {"a": (Oversized(1, 2, 50.0),)}
    assert evaluation.cases["detection_rate_share"].tolist() == [0, 1]
    assert evaluate(tmp_path, "--detection", "share:0.1", out="by_share") == 0
    assert read_evaluation(tmp_path / "by_share").cases["detection_rate"].tolist() == [0, 1]


@pytest.mark.integration
@pytest.mark.parametrize(
    ("rule", "rate"),
    [("picai", 0.5), ("msseg", 0.5), ("share:0.1", 1), ("share:0.102", 0.5), ("overlap", 1), ("iou:0.5", 0.5)],
)
def test_rules_of_detection(tmp_path, rule, rate):
    """Beside a lesion that is found as it is, one of 6 voxels in a component of 62: IoU 6 / 62, 56 of 62 outside, and
    3 of these are rim."""
    reference, prediction = np.zeros((5, 12, 30), np.uint8), np.zeros((5, 12, 30), np.uint8)
    reference[2, 2:4, 2:5] = prediction[2, 2:4, 2:5] = 1
    reference[2, 8, 10:16] = 1
    prediction[2, 8, 10:16] = prediction[2, 4:12, 16:23] = 1
    for folder, mask in (("ref", reference), ("pred", prediction)):
        (tmp_path / folder).mkdir()
        sitk.WriteImage(sitk.GetImageFromArray(mask), tmp_path / folder / "a.nii.gz")
    assert evaluate(tmp_path, "--detection", rule) == 0
    assert read_evaluation(tmp_path / "out").cases["detection_rate"].tolist() == [rate]


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
