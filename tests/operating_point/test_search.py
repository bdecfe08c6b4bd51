"""From a results folder to operating_point.json: the same as brute force, resumable, in processes, and refusals."""

import itertools
import json
import math
import os
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from batchgenerators.utilities.file_and_folder_operations import save_pickle
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
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


@pytest.fixture
def small_folds(write_model, phantom_predictions):
    """Two folds of two cases."""
    cases = {name: (mask, softmax_of(p)) for name, (mask, p) in list(phantom_predictions.items())[:4]}
    return write_model({"0": {n: cases[n] for n in list(cases)[::2]}, "1": {n: cases[n] for n in list(cases)[1::2]}})


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


def no_npz(model):
    (model.path / "fold_1" / "validation" / "case_03.npz").unlink()


def truncated(model):
    file = model.path / "fold_1" / "validation" / "case_03.npz"
    file.write_bytes(file.read_bytes()[:-4000])


def another_shape(model):
    np.savez(model.path / "fold_1" / "validation" / "case_03.npz", probabilities=np.zeros((2, 3, 4, 5), np.float32))


def other_heads(model):
    file = model.path / "fold_1" / "validation" / "case_03.npz"
    np.savez(file, probabilities=np.load(file)["probabilities"][:1])


def not_a_number(model):
    file = model.path / "fold_1" / "validation" / "case_03.npz"
    np.savez(file, probabilities=np.load(file)["probabilities"] * np.float32(np.nan))


def no_cases(model):
    (model.path / "fold_1" / "validation" / "summary.json").write_text('{"metric_per_case": []}')


def no_split(model):
    (model.path / "fold_1" / "validation" / "summary.json").unlink()


def no_reference(model):
    (model.references / "case_03.nii.gz").unlink()


def no_fold(model):
    shutil.rmtree(model.path / "fold_1")


def no_plans(model):
    (model.path / "plans.json").unlink()


def above_one(model):
    file = model.path / "fold_1" / "validation" / "case_03.npz"
    np.savez(file, probabilities=np.load(file)["probabilities"] * np.float32(1.5))


def unknown_label(model):
    file = str(model.references / "case_03.nii.gz")
    array, image = read(file)
    array[0, 0, 0] = 3
    write(file, array, image)


def another_place(model):
    """The file that nnU-Net writes beside the probabilities says where the image lies."""
    _, properties = SimpleITKIO().read_seg(str(model.references / "case_03.nii.gz"))
    properties["sitk_stuff"]["origin"] = (0.0, 0.0, 30.0)
    save_pickle(properties, str(model.path / "fold_1" / "validation" / "case_03.pkl"))


def no_lesion(model):
    for file in model.references.iterdir():
        array, image = read(str(file))
        write(str(file), 0 * array, image)


def read(file):
    image = SimpleITK.ReadImage(file)
    return SimpleITK.GetArrayFromImage(image), image


def write(file, array, like):
    image = SimpleITK.GetImageFromArray(array)
    image.CopyInformation(like)
    SimpleITK.WriteImage(image, file)


def trained_on_its_cases(model):
    """A split whose fold 1 trains on a case that it validates."""
    folder = Path(os.environ["nnUNet_preprocessed"]) / "Dataset042_Test"
    folder.mkdir(parents=True)
    cases = {fold: sorted(p.stem for p in (model.path / f"fold_{fold}" / "validation").glob("*.npz")) for fold in "01"}
    split = [{"train": cases["1"], "val": cases["0"]}, {"train": [*cases["0"], cases["1"][0]], "val": cases["1"]}]
    (folder / "splits_final.json").write_text(json.dumps(split))


def another_split(model):
    """The split was changed after the training: a case that fold 1 trained on validates it now."""
    folder = Path(os.environ["nnUNet_preprocessed"]) / "Dataset042_Test"
    folder.mkdir(parents=True)
    first, second = (
        sorted(p.stem for p in (model.path / f"fold_{fold}" / "validation").glob("*.npz")) for fold in "01"
    )
    split = [{"train": second, "val": first}, {"train": first[1:], "val": [first[0], *second]}]
    (folder / "splits_final.json").write_text(json.dumps(split))


def broken_json(model):
    (model.path / "dataset.json").write_text("{")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (no_npz, "`nnUNetv2_train Dataset042_Test 3d_fullres 1 -tr nnUNetTrainer -p nnUNetPlans --val --npz`"),
        (truncated, "case_03.npz can't be read"),
        (another_shape, "case_03.npz has the shape (2, 3, 4, 5)"),
        (other_heads, "case_03.npz has the shape (1, 24, 32, 32), reference and labels need (2, 24, 32, 32)"),
        (not_a_number, "no probabilities"),
        (above_one, "case_03.npz holds values that are no probabilities"),
        (unknown_label, "case_03.nii.gz holds the values [3], which dataset.json doesn't know"),
        (another_place, "case_03.npz lies on another grid"),
        (no_lesion, "holds a lesion of lesion: there is nothing to choose on"),
        (trained_on_its_cases, "fold 1 trains on 1 of the cases that it validates, such as case_01"),
        (another_split, "has changed since fold 1 was validated: it may have trained on case_00"),
        (no_cases, "empty validation set"),
        (no_split, "says which cases validate it"),
        (no_reference, "reference of case_03 is missing"),
        (no_fold, "fold_1 is missing"),
        (no_plans, "no results folder"),
        (broken_json, "dataset.json can't be read"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_bad_input_is_one_line_and_exit_code_2(small_folds, tmp_path, capsys, damage, message, monkeypatch):
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "preprocessed"))
    damage(small_folds)
    out = tmp_path / "out"
    arguments = [str(small_folds.path), "-f", "0", "1", "-o", str(out), "-ref", str(small_folds.references), "-np", "1"]
    assert main(["threshold", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.strip().count("\n") == 0
    assert not list(tmp_path.rglob("operating_point*"))
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--thresholds", "0.5", "1"], "between 0 and 1"),
        (["--thresholds", "many"], "could not convert"),
        (["--min-voxels", "-3"], "0 (no filter) or more"),
        (["--objective", "dice", "auc"], "sensitivity@2"),
        (["--class", "tumour"], "no class tumour; it has lesion"),
        (["--step-size", "0.25"], "belongs to --predict"),
        (["-f", "0", "--cross-fit"], "several folds"),
        (["--predict", "-device", "cpu"], "checkpoint_final.pth is missing"),
        (["--objective", "sensitivity@0", "--thresholds", "0.01"], "more false positives"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_senseless_options_are_one_line_and_exit_code_2(small_folds, tmp_path, capsys, options, message):
    arguments = [str(small_folds.path), "-o", str(tmp_path / "out"), "-ref", str(small_folds.references), "-np", "1"]
    assert main(["threshold", *arguments, *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.strip().count("\n") == 0


def test_fold_all_is_refused_with_the_command_that_makes_held_out_probabilities(small_folds, tmp_path, capsys):
    (small_folds.path / "fold_0").rename(small_folds.path / "fold_all")
    arguments = [str(small_folds.path), "-o", str(tmp_path / "out"), "-ref", str(small_folds.references), "-np", "1"]
    assert main(["threshold", *arguments, "-f", "all"]) == 2
    error = capsys.readouterr().err
    assert "fold_all trained on the cases that it validates" in error
    assert "`nnUNetv2_train Dataset042_Test 3d_fullres FOLD -tr nnUNetTrainer -p nnUNetPlans --npz`" in error
    assert error.strip().count("\n") == 0
    assert not (tmp_path / "out").exists()
    # beside others it is left out unless it is named
    assert main(["threshold", *arguments]) == 0
    assert list(read_operating_point(tmp_path / "out").cuts) == ["1", "ensemble"]


def test_nothing_is_counted_before_a_cross_fit_is_refused(small_folds, tmp_path):
    with pytest.raises(UserError, match="several folds"):
        choose_operating_point(small_folds, tmp_path / "out", folds=["0"], with_cross_fit=True)
    assert not list(tmp_path.rglob("*operating_point*"))


def test_counts_lie_in_the_output_where_the_model_is_read_only(small_folds, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    choose_operating_point(small_folds, tmp_path / "out")
    assert len(list((tmp_path / "out" / "counts").glob("*/*.npz"))) == 4
    assert not (small_folds.path / "operating_point").exists()


def test_another_detection_is_refused_unless_it_is_known(small_folds, capsys):
    assert main(["threshold", str(small_folds.path), "--detection", "share:2"]) == 2
    assert "--detection: 'share:2' is no rule" in capsys.readouterr().err


def test_an_output_below_a_file_is_one_line_and_exit_code_2(small_folds, tmp_path, capsys):
    (tmp_path / "file").touch()
    arguments = [str(small_folds.path), "-o", str(tmp_path / "file" / "out"), "-ref", str(small_folds.references)]
    assert main(["threshold", *arguments, "-np", "1"]) == 2
    assert "can't be written" in capsys.readouterr().err


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
