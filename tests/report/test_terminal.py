"""What `evaluate` prints, of several labels, of nothing, and of many cases without a partner."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from made_evaluations import make_summary

from nnunetv2_sizepenalty.evaluation import evaluate_folder
from nnunetv2_sizepenalty.report.terminal import result_lines, unpaired_lines


@pytest.fixture
def lines(tmp_path):
    def run(mask, **options):
        for name, array in (("ref", mask), ("pred", np.where(mask == 2, 0, mask))):
            (tmp_path / name).mkdir()
            image = sitk.GetImageFromArray(array.astype(np.uint8))
            image.SetSpacing((10.0, 10.0, 10.0))
            sitk.WriteImage(image, tmp_path / name / "a.nii.gz")
        if options:
            options["dataset_json"] = tmp_path / "dataset.json"
            options["dataset_json"].write_text(json.dumps({"labels": options.pop("labels"), "file_ending": ".nii.gz"}))
        return result_lines(evaluate_folder(tmp_path / "ref", tmp_path / "pred", **options).summary, Path("r.html"))

    return run


def test_one_case_without_a_lesion(lines):
    assert lines(np.zeros((3, 4, 5))) == [
        "lesions found   0 of 0 in 1 case",
        "by size         < 1 mL 0 of 0, 1-5 mL 0 of 0, >= 5 mL 0 of 0",
        "false positives 0 (0 per case, 0 mL)",
        "Dice            - (undefined in 1), volume error 0 mL (absolute 0 mL)",
        "report          r.html",
    ]


def test_each_label_under_its_name(lines):
    mask = np.zeros((3, 4, 5))
    mask[0, 0, :2], mask[2, 3, 4] = 1, 2
    written = lines(mask, labels={"background": 0, "core": 1, "rim": 2})
    assert written[0::5] == ["core", "rim", "report          r.html"]
    assert [written[1], written[6]] == [
        "lesions found   1 of 1 (100 %) in 1 case",
        "lesions found   0 of 1 (0 %) in 1 case",
    ]
    assert written[9] == "Dice            0, volume error -1.00 mL (absolute 1.00 mL)"


def test_ten_cases_are_named():
    cases = tuple(f"c{i}" for i in range(12))
    assert unpaired_lines(make_summary(missing=cases[:1], without_reference=cases)) == [
        "1 reference without a prediction, scored as missed: c0",
        f"12 predictions without a reference, unused: {', '.join(cases[:10])} and 2 more (summary.json)",
    ]
    assert unpaired_lines(make_summary()) == []
