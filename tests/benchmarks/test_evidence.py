"""The evidence's scripts: what decides in them on made data, and the smallest size from end to end."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml

from nnunetv2_sizepenalty.ablation.matrix import make_matrix, read_matrix
from nnunetv2_sizepenalty.errors import UserError

EVIDENCE = Path(__file__).parents[2] / "benchmarks" / "evidence"
MATRICES = sorted(EVIDENCE.glob("*.yaml"))
REAL_DATA = os.environ.get("SIZEPENALTY_REAL_DATA")
# its modules are the scripts' neighbours, not a package
sys.path.insert(0, str(EVIDENCE))

import floor  # noqa: E402
import matrices  # noqa: E402
import page  # noqa: E402
import published  # noqa: E402
import scores  # noqa: E402
import tables  # noqa: E402


@pytest.mark.parametrize(
    ("trainer", "epochs", "expected"),
    [
        ("nnUNetTrainer_20epochs", 1, "nnUNetTrainer_1epoch"),
        ("nnUNetTrainer_20epochs", 250, "nnUNetTrainer_250epochs"),
        ("nnUNetTrainerDCS_nnUNet_perlesion_20epochs", 1, "nnUNetTrainerDCS_nnUNet_perlesion_1epochs"),
        ("nnUNetTrainerDTS_tau150_20epochs", 400, "nnUNetTrainerDTS_tau150_400epochs"),
    ],
)
def test_a_length_is_written_as_its_trainer_spells_it(trainer, epochs, expected):
    assert matrices.with_epochs(trainer, epochs) == expected


def test_a_trainer_without_a_length_is_refused():
    with pytest.raises(UserError, match="names no length"):
        matrices.with_epochs("nnUNetTrainerDTS", 1)


@pytest.mark.parametrize("path", MATRICES, ids=lambda path: path.stem)
def test_every_matrix_is_one_at_every_size(path):
    matrix = read_matrix(path)
    assert matrix.folds == [0]
    assert path.with_suffix(".py").is_file()
    evidence = getattr(__import__(path.stem), path.stem.split("_")[0].upper())
    assert {"smallest", "cpu"} <= set(evidence.sizes)
    content = yaml.safe_load(path.read_text())
    for size in evidence.sizes.values():
        resized = make_matrix(matrices.resized(content, size), path.stem)
        assert len(resized.trainers) == min(size.models or 99, len(matrix.trainers))
        # with two nnU-Net's deep supervision has no weight left
        assert size.network is None or len(size.network.features) >= 3
        assert {plans for row in resized.trainers for plans in row.plans or resized.plans} <= set(evidence.plans)
    assert make_matrix(matrices.resized(content, evidence.sizes["cpu"]), path.stem) == matrix


def blob(shape, where):
    mask = np.zeros(shape, bool)
    mask[where] = True
    return mask


def test_the_floor_is_the_best_threshold_over_cases_with_a_lesion():
    rng = np.random.default_rng(0)
    references = [blob((1, 40, 40), np.s_[:, 5:9, 5:9]), blob((1, 40, 40), np.s_[:, 20:30, 20:30])]
    images = [reference + rng.normal(0, 0.05, reference.shape) for reference in references]
    empty = np.zeros((1, 40, 40), bool)
    found = floor.best_threshold("view", [*images, rng.normal(5, 1, empty.shape)], [*references, empty])
    assert found.dice == pytest.approx(1)
    assert 0.1 < found.threshold < 0.9
    assert np.isnan(found.per_case[2])
    np.testing.assert_allclose(found.per_case[:2], 1)


def test_the_floor_looks_at_no_voxel_that_can_be_no_lesion():
    reference = blob((1, 10, 10), np.s_[:, :2, :2])
    image = np.where(reference, 1.0, 0.0)
    image[:, 5:] = np.nan
    counts = floor.counts_at(image, reference, np.array([-1.0, 0.5, 1.0]))
    assert counts.prediction.ravel().tolist() == [50, 4, 0]
    assert counts.true_positive.ravel().tolist() == [4, 4, 0]


def made_scores(*dice_of_repeats) -> scores.LabelScores:
    columns = {*tables.MODEL_COLUMNS, *scores.THESIS_METRICS}
    rows = pd.DataFrame({column: [0.5] * len(dice_of_repeats) for column in columns})
    compared = pd.DataFrame([["other", "dice", 0.1, 0.05, 0.15, 0.01, 0.02, "better"]], columns=scores.DIFFERENCE)
    return scores.LabelScores(
        "lesion", "base", {"base": rows, "other": rows}, pd.DataFrame(), 1.0, {"Dice at 0.5": compared}, compared,
        [pd.Series([dice, dice, np.nan]) for dice in dice_of_repeats],
    )  # fmt: skip


@pytest.mark.parametrize(("repeats", "beats"), [((0.31, 0.4), True), ((0.29, 0.9), False), ((0.3, 0.4), False)])
def test_a_comparison_counts_where_every_repeat_of_its_baseline_beats_the_floor(repeats, beats):
    found = floor.Floor("view", 0.5, 0.3, np.array([0.3, 0.3, np.nan]))
    made = made_scores(*repeats)
    assert page.beats_floor(made, found) == beats
    table = tables.difference_table(made, beats)
    assert ("better" in table) == beats
    assert ("| Dice | – |" in tables.thesis_table(made, beats)) == beats


def test_one_repeat_alone_gives_no_verdict():
    made = made_scores(0.9)
    made.differences["Dice at 0.5"]["noise_floor"] = float("nan")
    table = tables.difference_table(made, counts=True)
    assert "better" not in table and "| noise floor | unknown |" in table
    assert "| Dice | – |" not in tables.thesis_table(made, counts=True)


def test_the_share_of_detected_lesions_stands_by_size():
    made = made_scores(0.9)
    rows = [["base", 0, "all", 5, 0.5, 0.25], ["base", 1, "all", 5, 0.7, 0.35], ["other", 0, "all", 5, 1.0, np.nan]]
    names = ["model", "repeat", "stratum", "lesions", "detection_rate", "matched_detection_rate"]
    table = tables.size_table(replace(made, lesions=pd.DataFrame(rows, columns=names)))
    assert table.splitlines()[-4:] == [
        "| trainer | all: 5 |",
        "| --- | --- |",
        "| `base` | 0.60 / 0.30 |",
        "| `other` | 1.0 / – |",
    ]


def test_average_precision_is_judged_as_compare_judges_its_metrics():
    rng = np.random.default_rng(0)
    base = rng.uniform(0.2, 0.8, 20)

    def froc(gain):
        cases = [f"case_{i:02d}" for i in range(20)]
        values = base + gain + rng.normal(0, 0.01, 20)
        voxels = pd.DataFrame({"case": cases, "label": "lesion", "average_precision": values})
        return SimpleNamespace(voxels=voxels)

    frocs = {"base": [froc(0), froc(0)], "same": [froc(0), froc(0)], "better": [froc(0.1), froc(0.1)]}
    table = scores.average_precision_differences("lesion", frocs).set_index("model")
    assert list(table.columns) == [column for column in scores.DIFFERENCE if column != "model"]
    assert table["difference"].tolist() == pytest.approx([0, 0.1], abs=0.01)
    assert table["verdict"].tolist() == ["can't tell", "better"]


MATRIX = {"trainers": [{"trainer": "A_5epochs"}, {"trainer": "B_5epochs", "plans": ["P"]}], "seeds": [0, 1]}


def test_one_run_of_a_matrix_keeps_its_plans():
    assert matrices.one_run(MATRIX, "B_5epochs", "1") == {"trainers": MATRIX["trainers"][1:], "seeds": [1]}


@pytest.mark.parametrize(
    ("trainer", "repeat", "line"),
    [("C", "0", "no C; there are A_5epochs, B_5epochs"), ("A_5epochs", "2", "no repeat 2; there are 0, 1")],
)
def test_a_run_that_is_not_in_the_matrix_is_named(trainer, repeat, line):
    with pytest.raises(UserError, match=line):
        matrices.one_run(MATRIX, trainer, repeat)


def numbers(*values_low_high) -> pd.DataFrame:
    rows = [["A", "P", 0, "lesion", f"metric{i}", *row] for i, row in enumerate(values_low_high)]
    return pd.DataFrame(rows, columns=[*published.KEYS, "value", "low", "high"])


def test_a_repetition_is_held_against_the_published_intervals(tmp_path, monkeypatch):
    nan = float("nan")
    before = numbers(
        (0.5, 0.4, 0.6), (0.5, 0.4, 0.6), (0.0, 0.0, 0.0), (nan, nan, nan), (nan, nan, nan), (0.5, 0.4, 0.6)
    )
    before.to_csv(tmp_path / "page.csv", index=False)
    after = numbers((0.45, 0, 1), (0.61, 0, 1), (0.0, 0, 0), (nan, nan, nan), (0.3, 0, 1), (nan, nan, nan))
    monkeypatch.setattr(published, "run_numbers", lambda run: after)
    table = published.against_published([None], tmp_path / "page.csv")
    assert list(table["inside"]) == [True, False, True, True, False, False]


def test_numbers_that_are_not_published_are_asked_for(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"page\.csv: no such file"):
        published.against_published([None], tmp_path / "page.csv")
    numbers((0.5, 0.4, 0.6)).assign(trainer="B").to_csv(tmp_path / "page.csv", index=False)
    monkeypatch.setattr(published, "run_numbers", lambda run: numbers((0.5, 0.4, 0.6)))
    with pytest.raises(UserError, match="holds no numbers of A in this repeat"):
        published.against_published([None], tmp_path / "page.csv")


ONE_THREAD = str(EVIDENCE.parents[1] / "tests" / "support" / "one_thread")
# name -> what it is made from, its labels, and the runs of its smallest size
SMALLEST = {
    "idrid": ("idrid/train_quarter.zip", ("microaneurysm", "hard exudate"), 4),
    "hippocampus": ("msd_hippocampus/Dataset004_Hippocampus.zip", ("Anterior", "Posterior"), 4),
    "bonbid_hie": ("bonbid_hie/Dataset006_BONBIDHIE.zip", ("lesion",), 4),
    "phantom": ("soop", ("lesion",), 4),
}


def call(name: str, work: Path, results: Path, *options: object) -> str:
    """What a script at its smallest size prints."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, [ONE_THREAD, os.environ.get("PYTHONPATH")])),
    }
    source = Path(REAL_DATA) / SMALLEST[name][0]
    command = (sys.executable, EVIDENCE / f"{name}.py", source, "-o", work, "--size", "smallest", "--results", results)
    done = subprocess.run(list(map(str, (*command, *options))), env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.full
@pytest.mark.integration
@pytest.mark.skipif(REAL_DATA is None, reason="SIZEPENALTY_REAL_DATA names no folder")
@pytest.mark.parametrize("name", SMALLEST)
def test_the_smallest_size_runs_from_archive_to_page(name, tmp_path):
    results = tmp_path / "results"
    call(name, tmp_path / "work", results)
    text = (results / f"{name}_smallest.md").read_text()
    _, labels, count = SMALLEST[name]
    for words in ("Floor: Dice", "average precision", "noise floor", "matched at its", "better in"):
        assert words in text
    runs = pd.read_csv(tmp_path / "work" / f"{name}_smallest" / "ablation" / "runs.csv")
    assert list(runs["state"]) == ["done"] * (count * len(labels))
    for label in labels:
        assert f"## {label}" in text
    again = call(name, tmp_path / "work", results)
    assert "== raw" not in again and "nnUNetv2_train" not in again
    assert (results / f"{name}_smallest.md").read_text() == text
    if name == "hippocampus":  # the fastest
        ours = next(trainer for trainer in runs["trainer"] if trainer.endswith("_seed0"))
        compared = call(name, tmp_path / "new", results, "--reproduce", ours.removesuffix("_seed0"), 0)
        numbers = len(labels) * len(published.METRICS)
        assert f"{numbers} of {numbers} numbers are inside" in compared
