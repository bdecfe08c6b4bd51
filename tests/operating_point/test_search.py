"""From a results folder to operating_point.json: the same as brute force, resumable, in processes."""

import itertools
import json
import math
import os
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from operating_point_data import NESTED, softmax_of
from scipy import ndimage
from skimage import io

from nnunetv2_sizepenalty.cli.main import main
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.operating_point import Objective, ThresholdGrid, choose_operating_point, read_operating_point
from nnunetv2_sizepenalty.operating_point.validation_case import ValidationCase

THRESHOLDS, SIZES = (0.2, 0.5, 0.8), (5.0, 30.0)
NEIGHBOURS = ndimage.generate_binary_structure(3, 2)


@pytest.fixture
def two_folds(write_model, phantom_predictions):
    """20 phantom cases in two folds of ten."""
    cases = {name: (mask, softmax_of(p)) for name, (mask, p) in phantom_predictions.items()}
    names = list(cases)
    return write_model({"0": {n: cases[n] for n in names[::2]}, "1": {n: cases[n] for n in names[1::2]}})


def brute_force(cases, threshold, size) -> dict[str, float]:
    """Dice and PQ of one candidate over cases, from definitions alone."""
    dice, pq = [], []
    for reference, probability in cases:
        labels, n = ndimage.label(probability > np.float32(threshold), NEIGHBOURS)
        prediction = np.isin(labels, [i for i in range(1, n + 1) if (labels == i).sum() >= size])
        if not (reference.any() or prediction.any()):
            continue
        dice.append(2 * (reference & prediction).sum() / (reference.sum() + prediction.sum()))
        references, n_reference = ndimage.label(reference, NEIGHBOURS)
        predictions, n_prediction = ndimage.label(prediction, NEIGHBOURS)
        pairs, taken = [], set()
        for r, p in itertools.product(range(1, n_reference + 1), range(1, n_prediction + 1)):
            both = ((references == r) & (predictions == p)).sum()
            pairs.append((both / ((references == r) | (predictions == p)).sum(), r, -p))
        matched = 0.0
        for iou, r, p in sorted(pairs, reverse=True):
            if iou >= 0.5 and not taken & {r, p}:
                taken |= {r, p}
                matched += iou
        pq.append(matched / ((n_reference + n_prediction) / 2))
    return {"dice": np.mean(dice), "pq": np.mean(pq)}


@pytest.mark.parametrize("objective", ["dice", "pq"])
def test_choice_and_scores_equal_brute_force(two_folds, phantom_predictions, tmp_path, objective):
    point = choose_operating_point(
        two_folds,
        tmp_path / "out",
        grid=ThresholdGrid(THRESHOLDS, SIZES),
        objective=Objective.parse(objective),
    )
    result = point.classes["lesion"]
    cases = list(phantom_predictions.values())
    for fold, of_fold in {"0": cases[::2], "1": cases[1::2], "ensemble": cases}.items():
        table = {(r["threshold"], r["min_size"]): r for r in result.table if r["fold"] == fold}
        expected = {key: brute_force(of_fold, *key) for key in itertools.product(THRESHOLDS, (0.0, *SIZES))}
        assert table.keys() == expected.keys()
        for key, scores in expected.items():
            assert {name: table[key][name] for name in scores} == pytest.approx(scores, abs=1e-9)
        best = max(expected, key=lambda key: expected[key][objective])
        choice = result.choices[fold]
        assert (choice.threshold, choice.min_size) == best
        assert choice.score == pytest.approx(expected[best][objective], abs=1e-9)
        assert choice.score_nnunet == pytest.approx(expected[0.5, 0.0][objective], abs=1e-9)
    # the cases are hard enough that candidates differ
    assert len({round(r["dice"], 6) for r in result.table}) > 15


def test_what_is_written_is_what_is_returned_and_apply_reads_it(two_folds, tmp_path):
    written = choose_operating_point(two_folds, tmp_path / "out", with_cross_fit=True)
    text = (tmp_path / "out" / "operating_point.json").read_text()
    assert "NaN" not in text
    assert text == written.to_json()
    assert (tmp_path / "out" / "operating_point.png").stat().st_size > 10_000
    point = read_operating_point(tmp_path / "out" / "operating_point.json")
    assert point.to_json() == text
    assert list(point.cuts) == ["0", "1", "ensemble"]
    for fold, cut in point.cuts.items():
        assert cut["lesion"] == written.classes["lesion"].choices[fold].cut
    assert point.source.cases["1"] == tuple(f"case_{i:02}" for i in range(1, 20, 2))
    assert set(point.classes["lesion"].cross_fit) == {"0", "1", "mean"}
    assert math.isnan(point.classes["lesion"].calibration.volume_ratios[0].soft_to_reference)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda content: content.pop("candidates"), r"was not written by .* \(candidates: Field required\)"),
        (
            lambda content: content["classes"]["lesion"]["ensemble"].update(threshold="low"),
            r"lesion.ensemble.threshold",
        ),
        (lambda content: content.update(format=2), "has format 2, this version reads 1: choose it anew"),
    ],
    ids=["a key is missing", "no number", "another format"],
)
def test_a_file_that_is_no_operating_point_is_one_line(small_folds, tmp_path, change, line):
    choose_operating_point(small_folds, tmp_path)
    file = tmp_path / "operating_point.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match=line) as refused:
        read_operating_point(tmp_path)
    assert str(refused.value).startswith(str(file))
    assert "\n" not in str(refused.value)


def test_an_interrupted_run_goes_on_and_counts_nothing_twice(two_folds, tmp_path, capsys):
    out = tmp_path / "out"
    first = choose_operating_point(two_folds, out)
    counts = sorted((two_folds.path / "operating_point" / "counts").glob("*/*.npz"))
    assert len(counts) == 20
    counts[0].unlink()
    counts[1].write_bytes(counts[1].read_bytes()[:100])  # as a killed process might leave it
    kept = {path: path.stat().st_mtime_ns for path in counts[2:]}
    capsys.readouterr()
    assert choose_operating_point(two_folds, out).to_json() == first.to_json()
    assert "18 of 20 cases are counted already" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in counts[2:]} == kept
    # Another objective or output folder needs no new counts, thresholds that are not counted do.
    choose_operating_point(two_folds, tmp_path / "other", objective=Objective("pq"))
    assert "20 of 20" in capsys.readouterr().out
    choose_operating_point(two_folds, out, grid=ThresholdGrid((0.4, 0.6)))
    assert "counted already" not in capsys.readouterr().out


def test_counts_of_a_file_that_has_changed_are_not_used(two_folds, tmp_path):
    before = choose_operating_point(two_folds, tmp_path / "out", grid=ThresholdGrid())
    file = two_folds.path / "fold_0" / "validation" / "case_00.npz"
    probabilities = np.load(file)["probabilities"]
    np.savez_compressed(file, probabilities=probabilities[::-1])
    after = choose_operating_point(two_folds, tmp_path / "out", grid=ThresholdGrid())
    assert after.classes["lesion"].folds["0"] != before.classes["lesion"].folds["0"]
    assert after.classes["lesion"].folds["1"] == before.classes["lesion"].folds["1"]


def test_another_search_of_the_model_may_store_other_thresholds_meanwhile(small_folds, tmp_path, monkeypatch):
    grid = ThresholdGrid((0.2, 0.8))
    choose_operating_point(small_folds, tmp_path / "other", grid=ThresholdGrid((0.4, 0.6)))
    others = {path: path.read_bytes() for path in (small_folds.path / "operating_point").rglob("*.npz")}
    expected = choose_operating_point(small_folds, tmp_path / "out", grid=grid)
    load, looks = ValidationCase.load, Counter()

    def load_what_the_other_stores_after_two_looks(case):
        looks[case.name] += 1
        if looks[case.name] == 3:
            case.store.write_bytes(others[case.store])
        return load(case)

    monkeypatch.setattr(ValidationCase, "load", load_what_the_other_stores_after_two_looks)
    assert choose_operating_point(small_folds, tmp_path / "out", grid=grid).to_json() == expected.to_json()
    assert len(others) == 4


@pytest.mark.integration
def test_two_processes_count_what_one_does(two_folds, tmp_path):
    one = choose_operating_point(two_folds, tmp_path / "one", folds=["0"])
    two = choose_operating_point(two_folds, tmp_path / "two", folds=["0"], processes=2)
    assert two.to_json() == one.to_json()


def test_each_region_gets_its_own_threshold(write_model, phantom_predictions, tmp_path):
    cases = {}
    for name, (mask, probability) in list(phantom_predictions.items())[:6]:
        core = ndimage.binary_erosion(mask)
        label = mask.astype(int) + core
        cases[name] = label, np.stack([probability, np.where(core, 0.95, 0.85)]).astype(np.float32)
    model = write_model({"0": cases}, NESTED)
    classes = choose_operating_point(model, tmp_path / "out", grid=ThresholdGrid((0.3, 0.9), (0,))).classes
    assert list(classes) == ["whole", "core"]
    core = classes["core"]
    assert core.values == (2,)
    assert core.ensemble.threshold == 0.9
    assert core.ensemble.score == 1
    assert core.ensemble.edge == ("highest threshold",)
    assert classes["whole"].ensemble.threshold < 0.9
    only = choose_operating_point(model, tmp_path / "only", grid=ThresholdGrid((0.3, 0.9), (0,)), classes=["core"])
    assert only.to_json() == replace(only, classes={"core": core}).to_json()


def test_a_2d_image_is_measured_in_areas(write_model, tmp_path):
    """nnU-Net's reader says 999 mm between the slices of an image that has one."""
    reference, probability = np.zeros((1, 16, 16), np.uint8), np.full((1, 16, 16), 0.1, np.float32)
    reference[0, 2:6, 2:6] = 1
    probability[reference > 0] = 0.9
    probability[0, 10, 10:13] = 0.9
    model = write_model({"0": {"case": (reference, softmax_of(probability))}})
    io.imsave(model.references / "case.png", reference[0], check_contrast=False)
    for name, key, value in (
        ("plans.json", "image_reader_writer", "NaturalImage2DIO"),
        ("dataset.json", "file_ending", ".png"),
    ):
        content = json.loads((model.path / name).read_text())
        (model.path / name).write_text(json.dumps({**content, key: value}))
    summary = {"metric_per_case": [{"prediction_file": "case.png"}]}
    (model.path / "fold_0" / "validation" / "summary.json").write_text(json.dumps(summary))
    model = type(model)(model.path, model.references)
    lesion = choose_operating_point(model, tmp_path / "out", grid=ThresholdGrid((0.5,), (4, 40), "mm3")).classes[
        "lesion"
    ]
    assert (lesion.ensemble.min_size, lesion.ensemble.score) == (4, 1)
    assert lesion.calibration.volume_ratios[2].reference == 16


def test_the_terminal_shows_the_choice_its_worth_and_the_edge(two_folds, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = [
        "--thresholds",
        "0.98",
        "0.99",
        "-o",
        str(out),
        "-ref",
        str(two_folds.references),
        "--cross-fit",
        "-np",
        "1",
    ]
    assert main(["threshold", str(two_folds.path), *arguments]) == 0
    text = capsys.readouterr().out
    # 0.5 joins the candidates and wins; it is the lowest
    assert "WARNING: lesion, all folds together: the choice is the lowest threshold of the search" in text
    assert "honest" in text
    choice = json.loads((out / "operating_point.json").read_text())["classes"]["lesion"]["ensemble"]
    assert choice["threshold"] == 0.5
    assert choice["edge"] == ["lowest threshold"]
    assert f"bake {two_folds.path} --operating-point {out / 'operating_point.json'}" in text


def test_counts_lie_in_the_output_where_the_model_is_read_only(small_folds, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    choose_operating_point(small_folds, tmp_path / "out")
    assert len(list((tmp_path / "out" / "counts").glob("*/*.npz"))) == 4
    assert not (small_folds.path / "operating_point").exists()


@pytest.mark.integration
def test_a_read_only_results_folder_is_one_line_and_exit_code_2(small_folds):
    """In a process of its own, which gives up the superuser's right to write everywhere."""
    command = [sys.executable, "-m", "nnunetv2_sizepenalty.cli.main", "threshold", small_folds.path]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("runs as root without setpriv: nothing is read-only")
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    small_folds.path.chmod(0o555)
    done = subprocess.run([*command, "-ref", small_folds.references, "-np", "1"], capture_output=True, text=True)
    small_folds.path.chmod(0o755)
    assert done.returncode == 2
    assert "operating_point can't be written (Permission denied" in done.stderr
    assert done.stderr.strip().count("\n") == 0
    assert not (small_folds.path / "operating_point").exists()
