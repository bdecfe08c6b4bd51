"""`froc` on folders: maps that paint too much get nothing, and those that find the lesions get what they find."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.ndimage import binary_dilation, gaussian_filter, label

from nnunetv2_sizepenalty.cli.main import main
from nnunetv2_sizepenalty.curves import read_froc
from nnunetv2_sizepenalty.curves.froc import cases_at

SHAPE = (24, 36, 36)


def five_lesions(seed: int) -> np.ndarray:
    """Cuboids of a dozen voxels, at least three apart."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(SHAPE, dtype=bool)
    while label(mask)[1] < 5:
        at = [int(rng.integers(3, n - 6)) for n in SHAPE]
        if not mask[tuple(slice(a - 3, a + 6) for a in at)].any():
            mask[tuple(slice(a, a + n) for a, n in zip(at, (2, 2, 3), strict=True))] = True
    return mask


MASKS = {f"case_{seed}": five_lesions(seed) for seed in range(6)}


def write(folder: Path, masks: dict[str, np.ndarray], maps: dict[str, np.ndarray]) -> Path:
    for name in ("ref", "prob"):
        (folder / name).mkdir()
    for case, mask in masks.items():
        sitk.WriteImage(sitk.GetImageFromArray(mask.astype(np.uint8)), folder / "ref" / f"{case}.nii.gz")
        probability = maps[case].astype(np.float32)
        np.savez(folder / "prob" / f"{case}.npz", probabilities=np.stack([1 - probability, probability]))
    labels = {"labels": {"background": 0, "lesion": 1}, "file_ending": ".nii.gz"}
    (folder / "prob" / "dataset.json").write_text(json.dumps(labels))
    return folder


def froc(folder: Path, *options: object, out: str = "out"):
    argv = ["froc", "-ref", folder / "ref", "-probabilities", folder / "prob", "-o", folder / out, "-np", 1, *options]
    code = main([str(word) for word in argv])
    return read_froc(folder / out) if code == 0 else code


def average_precision(found) -> float:
    return found.summary.labels["lesion"].lesion_average_precision


def dilated(mask: np.ndarray, steps: int) -> np.ndarray:
    return binary_dilation(mask, np.ones((3, 3, 3)), iterations=steps)


def noise(mask: np.ndarray) -> np.ndarray:
    values = gaussian_filter(np.random.default_rng(int(mask.nonzero()[0].sum())).normal(size=SHAPE), 1)
    return np.argsort(np.argsort(values, axis=None)).reshape(SHAPE) / values.size


def brain(mask: np.ndarray) -> np.ndarray:
    return np.pad(np.full((20, 28, 28), 0.9), [(2, 2), (4, 4), (4, 4)], constant_values=0.01)


@pytest.mark.parametrize(
    ("make", "low", "high"),
    [
        (lambda mask: np.full(SHAPE, 0.5), 0, 0),
        (lambda mask: np.zeros(SHAPE), 0, 0),
        (brain, 0, 0),
        (noise, 0, 0.02),
        (lambda mask: np.where(mask, 0.9, 0.001), 1, 1),
        (lambda mask: dilated(mask, 1) * 0.9, 1, 1),
        (lambda mask: dilated(mask, 5) * 0.9, 0, 0),
        (lambda mask: gaussian_filter(mask.astype(float), 1), 1, 1),
    ],
    ids=["constant", "empty", "whole brain", "noise", "truth", "dilated by 1", "dilated by 5", "blurred"],
)
def test_average_precision_of_a_map(tmp_path, make, low, high):
    write(tmp_path, MASKS, {case: make(mask) for case, mask in MASKS.items()})
    assert low <= average_precision(froc(tmp_path)) <= high


def test_a_model_that_finds_half_of_the_lesions(tmp_path):
    first = {case: label(mask)[0] for case, mask in MASKS.items()}
    masks = {case: (labels > 0) & (labels < 5) for case, labels in first.items()}
    write(tmp_path, masks, {case: np.where((labels > 0) & (labels < 3), 0.9, 0.001) for case, labels in first.items()})
    assert average_precision(froc(tmp_path)) == 0.5


@pytest.mark.parametrize("protocol", ["default", "thesis", "isles26", "brats-mets"])
def test_any_overlap_is_asked_for_and_the_rule_is_written(tmp_path, capsys, protocol):
    """A protocol's own rule, any overlap for most, gives a constant map a perfect score: it isn't used for sweeps."""
    write(tmp_path, MASKS, {case: np.full(SHAPE, 0.5) for case in MASKS})
    by_share = froc(tmp_path, "--protocol", protocol)
    assert average_precision(by_share) == 0
    assert "detected: share of lesion" in by_share.summary.description
    assert "found by share of lesion" in capsys.readouterr().out
    assert by_share.points["detection_rate"].max() == 0
    by_overlap = froc(tmp_path, "--protocol", protocol, "--detection", "overlap", out="overlap")
    assert average_precision(by_overlap) == 1
    assert "detected: any overlap" in by_overlap.summary.description


def test_a_protocols_size_filter_holds_at_every_threshold(tmp_path):
    """Beside each lesion's map a false positive of one voxel, which the thesis removes."""
    maps = {case: np.where(mask, 0.9, 0) for case, mask in MASKS.items()}
    for one in maps.values():
        one[-1, -1, -1] = 0.9
    write(tmp_path, MASKS, maps)
    assert average_precision(froc(tmp_path)) == pytest.approx(5 / 6)
    assert average_precision(froc(tmp_path, "--protocol", "thesis", out="thesis")) == 1


@pytest.mark.parametrize("rule", ["picai", "msseg", "share:0.5", "iou:0.1"])
def test_other_rules_for_sensitivity_analyses(tmp_path, rule):
    write(tmp_path, MASKS, {case: np.where(mask, 0.9, 0.001) for case, mask in MASKS.items()})
    assert average_precision(froc(tmp_path, "--detection", rule)) == 1


def ball(radius: float) -> np.ndarray:
    return sum((axis - n // 2) ** 2 for axis, n in zip(np.ogrid[:24, :36, :36], SHAPE, strict=True)) <= radius**2


def test_single_predictions(tmp_path):
    """(lesions, found, false positives) at 0.5 of a halo with satellites, of core and pieces, of a rim and a bridge."""
    satellites = np.zeros(SHAPE, dtype=bool)
    for angle in np.arange(20) * np.pi / 10:
        satellites[12, int(np.round(18 + 10 * np.sin(angle))), int(np.round(18 + 10 * np.cos(angle)))] = True
    pieces = np.zeros(SHAPE, dtype=bool)
    pieces[::3, ::3, ::3] = True
    voxel, bridge = np.zeros(SHAPE, dtype=bool), np.zeros(SHAPE, dtype=bool)
    voxel[9, 9, 9] = bridge[5:8, 5:8, 5:8] = bridge[5:8, 5:8, 25:28] = True
    joined = bridge.copy()
    joined[6, 6, 5:28] = True
    masks = {"halo": ball(5) | satellites, "core": ball(6.2), "rim": voxel, "bridge": bridge}
    predictions = {
        "halo": ball(11.5),
        "core": ball(2.4) | (pieces & ball(6.2) & ~ball(4)),
        "rim": dilated(voxel, 1),
        "bridge": joined,
    }
    write(tmp_path, masks, {case: np.where(predictions[case], 0.9, 0.001) for case in masks})
    rows = cases_at(froc(tmp_path).points, "lesion", 0.5).set_index("case")
    columns = ["n_reference", "missed", "false_positives"]
    assert rows.loc["halo", columns].tolist() == [21, 20, 0]
    assert rows.loc["core", "n_prediction"] > 20
    assert rows.loc["core", columns].tolist() == [1, 0, 0]
    assert rows.loc["rim", columns].tolist() == [1, 0, 0]
    assert rows.loc["bridge", columns].tolist() == [2, 0, 0]


# Bad input


def damaged(folder: Path, how: str) -> None:
    file = folder / "prob" / "case_1.npz"
    probability = np.load(file)["probabilities"]
    if how == "nan":
        probability[1, 0, 0, 0] = np.nan
    elif how == "outside":
        probability[1, 0, 0, 0] = 1.5
    elif how == "shape":
        probability = probability[:, :-1]
    elif how == "grid":
        image = sitk.GetImageFromArray(MASKS["case_1"].astype(np.uint8))
        image.SetOrigin((5.0, 0.0, 0.0))
        sitk.WriteImage(image, folder / "prob" / "case_1.nii.gz")
    elif how == "place":
        stuff = {"spacing": (1.0, 1.0, 1.0), "origin": (0.0, 0.0, 5.0), "direction": tuple(np.eye(3).ravel())}
        properties = {"sitk_stuff": stuff, "spacing": [1.0, 1.0, 1.0]}
        (folder / "prob" / "case_1.pkl").write_bytes(pickle.dumps(properties))
    elif how == "labels":
        image = sitk.GetImageFromArray(2 * MASKS["case_1"].astype(np.uint8))
        sitk.WriteImage(image, folder / "ref" / "case_1.nii.gz")
    elif how == "predictions":
        (folder / "ref" / "predict_from_raw_data_args.json").write_text("{}")
    elif how == "no lesion":
        for case in MASKS:
            image = sitk.GetImageFromArray(np.zeros(SHAPE, dtype=np.uint8))
            sitk.WriteImage(image, folder / "ref" / f"{case}.nii.gz")
    np.savez(file, probabilities=probability)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("nan", "case_1.npz holds values that are no probabilities"),
        ("outside", "case_1.npz holds values that are no probabilities"),
        ("shape", "case_1.npz has the shape (2, 23, 36, 36), reference and labels need (2, 24, 36, 36)"),
        ("grid", "case_1.npz: origin [-5.0, 0.0, 0.0] instead of [0.0, 0.0, 0.0]"),
        ("place", "case_1.npz: origin [0.0, 0.0, 5.0] instead of [0.0, 0.0, 0.0]"),
        ("labels", "case_1.nii.gz: holds labels [2] that dataset.json does not name"),
        ("predictions", "holds predictions of nnU-Net (predict_from_raw_data_args.json)"),
        ("no lesion", "no reference holds a lesion"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(tmp_path, capsys, how, says):
    write(tmp_path, MASKS, {case: np.where(mask, 0.9, 0.001) for case, mask in MASKS.items()})
    damaged(tmp_path, how)
    assert froc(tmp_path) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_many_bad_cases_are_one_line_too(tmp_path, capsys):
    write(tmp_path, MASKS, {case: np.full(SHAPE, np.nan) for case in MASKS})
    assert froc(tmp_path) == 2
    error = capsys.readouterr().err
    assert "6 of 6 cases can't be scored, nothing was written: " in error
    assert "case_2.npz holds values" in error
    assert "case_3.npz" not in error
    assert error.endswith("; and 3 more\n")
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_no_archive_where_no_dataset_json_names_the_labels(tmp_path, capsys):
    write(tmp_path, MASKS, {case: np.where(mask, 0.9, 0.001) for case, mask in MASKS.items()})
    (tmp_path / "prob" / "dataset.json").unlink()
    (tmp_path / "prob" / "case_0.npz").write_bytes(b"no zip")
    assert froc(tmp_path) == 2
    assert "case_0.npz can't be read as nnU-Net's probabilities" in capsys.readouterr().err


def test_one_case_is_enough(tmp_path):
    write(tmp_path, {"a": MASKS["case_0"]}, {"a": np.where(MASKS["case_0"], 0.9, 0.001)})
    assert average_precision(froc(tmp_path)) == 1


def test_a_rule_that_is_none(tmp_path, capsys):
    assert froc(tmp_path, "--detection", "most") == 2
    assert "--detection: 'most' is no rule" in capsys.readouterr().err


def test_a_mask_beside_the_probabilities_on_their_grid_is_fine(tmp_path):
    write(tmp_path, MASKS, {case: np.where(mask, 0.9, 0.001) for case, mask in MASKS.items()})
    for case, mask in [*MASKS.items()][1:]:
        sitk.WriteImage(sitk.GetImageFromArray(mask.astype(np.uint8)), tmp_path / "prob" / f"{case}.nii.gz")
    stuff = {"spacing": (1.0, 1.0, 1.0), "origin": (0.0, 0.0, 0.0), "direction": tuple(np.eye(3).ravel())}
    properties = {"sitk_stuff": stuff, "spacing": [1.0, 1.0, 1.0]}
    (tmp_path / "prob" / "case_0.pkl").write_bytes(pickle.dumps(properties))
    assert average_precision(froc(tmp_path)) == 1
