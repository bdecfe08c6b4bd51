"""The matrix file: what it may say, and one clear line for what it may not."""

import re
from pathlib import Path

import pytest

from nnunetv2_sizepenalty.ablation.matrix import make_matrix, read_matrix
from nnunetv2_sizepenalty.errors import UserError

SMALLEST = {"datasets": 42, "trainers": "nnUNetTrainerDTS"}
DOCS = Path(__file__).parents[2] / "docs" / "ablation.md"


def test_scalars_stand_for_lists_and_defaults_are_the_thesiss():
    matrix = make_matrix(SMALLEST, "m.yaml")
    assert (matrix.datasets, matrix.folds, matrix.seeds) == (["42"], [0, 1, 2, 3, 4], None)
    assert [row.trainer for row in matrix.trainers] == ["nnUNetTrainerDTS"]
    assert (matrix.thresholds, matrix.min_voxels, matrix.step_size) == ([0.3, 0.4, 0.5, 0.6, 0.7], [5], 0.5)


def test_a_row_may_have_plans_and_datasets_of_its_own():
    rows = ["nnUNetTrainer", {"trainer": "nnUNetTrainerDTS", "plans": "nnUNetSizePenaltyPlans", "datasets": [43]}]
    row = make_matrix(SMALLEST | {"trainers": rows}, "m.yaml").trainers[1]
    assert (row.plans, row.datasets) == (["nnUNetSizePenaltyPlans"], ["43"])


BAD = {
    "unknown key": ({"fold": 0}, r"unknown key fold; there are datasets, trainers"),
    "unknown key of a row": ({"trainers": [{"trainer": "A", "plan": "B"}]}, r"unknown key trainers.0.plan; .*plans"),
    "negative fold": ({"folds": [0, -1]}, r"folds\.1: .*greater than or equal to 0, got -1"),
    "fold as text": ({"folds": ["all"]}, r"folds\.0: .*got 'all'"),
    "fold twice": ({"folds": [1, 1]}, r"folds: 1 is listed twice"),
    "no seeds": ({"seeds": []}, r"seeds: .*at least 1"),
    "step": ({"step_size": 0}, r"step_size: .*greater than 0, got 0"),
    "device": ({"device": "tpu"}, r"device: .*'cuda', 'cpu' or 'mps', got 'tpu'"),
    "threshold": ({"thresholds": [0.5, 1]}, r"thresholds\.1: .*less than 1, got 1"),
    "protocol": ({"protocol": "mine"}, r"protocol: unknown; there are default, .*got 'mine'"),
    "objective": ({"objective": "accuracy"}, r"objective: .*sensitivity@2, got 'accuracy'"),
    "trainer": ({"trainers": "a trainer"}, r"trainers\.0\.trainer: .*got 'a trainer'"),
    "two errors": ({"folds": -1, "seeds": -1}, r"folds\.0: .*\(and 1 more\)"),
}


@pytest.mark.parametrize(("keys", "line"), BAD.values(), ids=BAD)
def test_bad_keys_and_values_are_one_line_that_names_them(keys, line):
    with pytest.raises(UserError) as refused:
        make_matrix(SMALLEST | keys, "m.yaml")
    assert re.fullmatch("m.yaml: " + line + ".*", str(refused.value)), refused.value


@pytest.mark.parametrize("missing", SMALLEST)
def test_a_missing_key_is_named(missing):
    with pytest.raises(UserError, match=f"m.yaml: key {missing} is missing"):
        make_matrix({key: value for key, value in SMALLEST.items() if key != missing}, "m.yaml")


FILES = {
    "no YAML": ("datasets: [42", r"is not YAML: .*line 1"),
    "a key twice": ("datasets: 1\ntrainers: A\ndatasets: 2\n", r"key datasets is there twice"),
    "a list": ("- 42\n", r"holds no keys"),
    "empty": ("", r"holds no keys"),
}


@pytest.mark.parametrize(("text", "line"), FILES.values(), ids=FILES)
def test_bad_files_are_one_line_that_names_them(text, line, tmp_path):
    path = tmp_path / "m.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=line) as refused:
        read_matrix(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none.yaml can't be read: No such file"):
        read_matrix(tmp_path / "none.yaml")


def test_the_examples_of_the_docs_are_matrices(tmp_path):
    examples = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(), flags=re.DOTALL)
    assert examples
    for number, example in enumerate(examples):
        path = tmp_path / f"{number}.yaml"
        path.write_text(example)
        assert read_matrix(path).trainers
