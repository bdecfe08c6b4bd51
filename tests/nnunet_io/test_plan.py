"""Plans as nnU-Net reads them: a configuration has what it inherits."""

import json

import pytest
from made_datasets import make_dataset

from nnunetv2_sizepenalty.ablation.matrix import make_matrix
from nnunetv2_sizepenalty.ablation.prepare import prepare
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.dataset import find_dataset, image_files
from nnunetv2_sizepenalty.nnunet_io.plan import find_plan


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A dataset, split and planned, with a configuration that takes its data from another."""
    for name in ("raw", "preprocessed", "results"):
        monkeypatch.setenv(f"nnUNet_{name}", str(tmp_path / name))
    made = make_dataset(tmp_path)
    made.write_folds(["a", "b"], ["c", "d"])
    path = made.write_plans()
    plans = json.loads(path.read_text())
    plans["configurations"]["3d_batch4"] = {"inherits_from": "3d_fullres", "batch_size": 4}
    path.write_text(json.dumps(plans))
    return made


def test_an_inheriting_configuration_uses_the_data_of_the_other(made):
    plan = find_plan(find_dataset("500"), None, "3d_batch4")
    assert plan.folder == made.preprocessed / "nnUNetPlans_data"
    assert plan.patch_size == (8, 16, 16)
    assert plan.configurations == ("3d_fullres", "3d_batch4")


def test_ablate_finds_the_data_that_a_configuration_inherits(made, tmp_path):
    matrix = make_matrix(
        {"datasets": 500, "trainers": "nnUNetTrainer", "folds": [0, 1], "configuration": "3d_batch4"}, "m"
    )
    with pytest.raises(UserError, match=r"nnUNetPlans_data is missing: run `.* -d Dataset500_Made .* -c 3d_batch4`"):
        prepare(matrix, tmp_path / "out")
    (made.preprocessed / "nnUNetPlans_data").mkdir()
    assert [run.part.validation for run in prepare(matrix, tmp_path / "out").runs] == [("a", "b"), ("c", "d")]


def test_files_that_dataset_json_lists_are_taken_as_nnunet_reads_them(made, monkeypatch):
    monkeypatch.setenv("ELSEWHERE", str(made.raw.parent / "elsewhere"))
    entry = {"images": ["imagesTr/../a.nii.gz", "$ELSEWHERE/b.nii.gz"], "label": "labelsTr/a.nii.gz"}
    made.write_settings(dataset={"a": entry})
    dataset = find_dataset("500")
    assert dataset.labels == {"a": made.label("a")}
    assert image_files(dataset) == {"a": (made.raw / "a.nii.gz", made.raw.parent / "elsewhere" / "b.nii.gz")}
