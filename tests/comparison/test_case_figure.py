"""Which case is shown side by side, and the picture of it."""

from pathlib import Path

import numpy as np
import pytest
from made_evaluations import make_evaluation, make_model
from PIL import Image

from nnunetv2_sizepenalty.comparison.case_figure import (
    choose_case,
    draw_slice,
    read_side_by_side,
    write_case_figure,
)
from nnunetv2_sizepenalty.comparison.models import read_models
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.report.scans import make_scan

CASES = ["none", "small", "small_2", "large"]


def models(volumes):
    errors = ([0.0, 0.1, 0.1, 9.0], [5.0, 0.2, 0.5, 1.0])
    return [
        make_model(name, make_evaluation(CASES, reference_ml=volumes, absolute_volume_error_ml=error))
        for name, error in zip("AB", errors, strict=True)
    ]


@pytest.mark.parametrize(
    ("volumes", "named", "case", "why"),
    [
        ([0.0, 0.4, 0.6, 30.0], None, "small_2", "among the cases below 1 mL it is the one where"),
        ([0.0, 4.0, 6.0, 30.0], None, "large", "no case is below 1 mL"),
        ([0.0, 0.4, 0.6, 30.0], "large", "large", "--case names"),
    ],
    ids=["below 1 mL", "none below 1 mL", "named"],
)
def test_choice_and_its_reason(volumes, named, case, why):
    chosen, reason = choose_case(models(volumes), "lesion", named)
    assert chosen == case
    assert why in reason


def test_nothing_to_show_without_a_lesion():
    assert choose_case(models([0.0] * 4), "lesion") is None


def test_unknown_case():
    with pytest.raises(UserError, match="--case x: not among the 4"):
        choose_case(models([1.0] * 4), "lesion", "x")


def test_slice_is_coloured_by_agreement():
    reference, prediction = np.zeros((1, 3, 5), bool), np.zeros((1, 3, 5), bool)
    reference[0, 1, 1:3] = prediction[0, 1, 2:4] = True
    scan = make_scan({"m": reference}, {"m": prediction}, {"image": np.zeros((1, 3, 5), np.float32)}, np.eye(4))
    blue, green, ochre = draw_slice(scan, "m", 0)[1, 1:4].tolist()
    assert blue[2] > blue[0]
    assert ochre[0] > ochre[2]
    assert green[1] > max(green[0], green[2])


def test_side_by_side_of_real_masks(masks, tmp_path):
    pair = read_models({name: [masks.evaluation(name)] for name in ("good", "bad")})
    case, why = choose_case(pair, "foreground")
    side = read_side_by_side(pair, "foreground", case, why, masks.images)
    assert set(side.scan.codes) == {"good", "bad"}
    row = pair[0].label("foreground").set_index("case").loc[case]
    assert side.captions["good"] == (
        f"true {row['reference_ml']:.2f} mL, predicted {row['prediction_ml']:.2f} mL, Dice {row['dice']:.4f}"
    )
    assert row["reference_ml"] < 1
    assert np.isin(side.scan.codes["good"][:, :, side.z], (1, 3)).any(), "the slice shows the reference"
    write_case_figure(side, tmp_path / "case")
    with Image.open(tmp_path / "case.png") as picture:
        assert picture.width > picture.height / 2
    assert Path(tmp_path / "case.svg").read_text().count("<image") == 2
