"""tau from the data: medians and gates by hand, the folds of nnU-Net, and the command on datasets of masks."""

import json
import math

import numpy as np
import pytest
from preprocessed_masks import blobs, preprocess_masks
from scipy import ndimage

from nnunetv2_sizepenalty.cli.main import main
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.training_cases import training_cases
from nnunetv2_sizepenalty.sampling.choose_tau import VolumeSample, gated_tau, median_tau, modifier, weights
from nnunetv2_sizepenalty.sampling.tau_figure import tau_figure
from nnunetv2_sizepenalty.sampling.tau_report import TauReport
from nnunetv2_sizepenalty.trainers.names import parse


def volumes(*voxels, of="lesions"):
    return VolumeSample(of, np.array(voxels, dtype=int), drawn=2 * len(voxels))


def report(**changes):
    values = {
        "dataset": "Dataset500_Masks",
        "plans": "nnUNetPlans",
        "configuration": "3d_fullres",
        "fold": "0",
        "trainer": "nnUNetTrainerDTS",
        "n_cases": 4,
        "spacing_mm": (2.0, 2.0, 2.0),
        "patches": volumes(100, 300, 900, of="patches"),
        "lesions": volumes(1, 20, 40),
        "per_lesion": False,
        "tau": 600.0,
    }
    return TauReport(**values | changes)


def test_median_and_its_name():
    tau = median_tau(volumes(3, 1000, 812, 813))
    assert tau == 812  # to even, from 812.5
    assert modifier(tau) == "_tau812"
    assert parse(f"nnUNetTrainerDTS{modifier(tau)}").values["tau"] == tau
    assert median_tau(volumes(1, 1, 0)) == 1


def test_no_lesion_tells_no_tau():
    with pytest.raises(UserError, match="no training case holds a lesion"):
        median_tau(volumes())


def test_gate_gives_5_ml_of_isles_the_thesiss_weight_and_tau():
    assert gated_tau(625) == 600
    assert weights([625], gated_tau(625))[0] == pytest.approx(0.353, abs=1e-3)
    assert gated_tau(1032) == round(1032 / -math.log(0.353))


def test_weights_are_the_losses():
    np.testing.assert_allclose(weights([0, 300, 600], 300.0), np.exp([0, -1, -2]))


@pytest.mark.parametrize(
    ("changes", "tau", "reason"),
    [
        ({}, 300, "median of the patches"),
        ({"per_lesion": True}, 20, "median of the lesions"),
        ({"gate_ml": 5.0, "gate_voxels": 625.0}, 600, "5 mL, 625 voxels, then weigh 0.353"),
    ],
    ids=["patches", "lesions", "gate"],
)
def test_suggestion(changes, tau, reason):
    made = report(**changes)
    assert made.suggested == tau
    assert reason in made.reason
    assert made.as_dict()["suggested"]["modifier"] == f"_tau{tau}"


def test_rows_hold_percentiles_ml_and_weights():
    row = report().rows(volumes(*range(101)))[1]
    assert (row["percentile"], row["voxels"], row["ml"]) == (25, 25, pytest.approx(0.2))
    assert row["weight"] == pytest.approx(math.exp(-25 / 600))
    assert row["weight_suggested"] == pytest.approx(math.exp(-25 / 300))
    assert list(report(spacing_mm=None).rows(volumes(1))[0])[:2] == ["percentile", "pixels"]
    assert "ml" not in report(spacing_mm=None).rows(volumes(1))[0]


def test_figure_draws_what_the_report_holds():
    made = report()
    share, weight = tau_figure(made).axes[:2]
    steps = [np.asarray(line.get_data()) for line in share.lines if line.get_drawstyle() == "steps-post"]
    np.testing.assert_allclose(steps[0], [[100, 300, 900], [1 / 3, 2 / 3, 1]])
    np.testing.assert_allclose(steps[1][0], [1, 20, 40])
    for line, tau in zip(weight.lines, (600, 300), strict=True):
        x, y = line.get_data()
        np.testing.assert_allclose(y, np.exp(-np.asarray(x) / tau))
    (ml,) = weight.child_axes
    ml.get_figure().draw_without_rendering()
    assert ml.get_xlim()[1] == pytest.approx(weight.get_xlim()[1] * 0.008)


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    """Makes an nnU-Net dataset 500 of masks, raw and preprocessed, and returns its preprocessed folder."""

    def make(spacing=(2.0, 2.0, 2.0), patch_size=(8, 16, 16), configuration="3d_fullres", masks=None):
        name = "Dataset500_Masks"
        masks = masks or {f"case{n}": blobs(n) for n in range(6)}
        for folder in ("nnUNet_raw", "nnUNet_preprocessed"):
            monkeypatch.setenv(folder, str(tmp_path / folder))
            (tmp_path / folder / name).mkdir(parents=True)
        raw, preprocessed = tmp_path / "nnUNet_raw" / name, tmp_path / "nnUNet_preprocessed" / name
        (raw / "imagesTr").mkdir()
        for case in masks:
            (raw / "imagesTr" / f"{case}_0000.nii.gz").touch()
        settings = {"labels": {"background": 0, "lesion": 1}, "channel_names": {"0": "MR"}, "file_ending": ".nii.gz"}
        (raw / "dataset.json").write_text(json.dumps(settings))
        planned = {"spacing": spacing, "patch_size": patch_size, "batch_size": 2, "data_identifier": "masks"} | {
            "architecture": {}
        }
        plans = {
            "dataset_name": name,
            "plans_name": "nnUNetPlans",
            "original_median_spacing_after_transp": [5.0, 1.0, 1.0],
            "configurations": {configuration: planned},
        }
        (preprocessed / "nnUNetPlans.json").write_text(json.dumps(plans))
        preprocess_masks(preprocessed / "masks", masks)
        return preprocessed

    return make


def run_tau(tmp_path, *arguments):
    file = tmp_path / "tau.json"
    assert main(["tau", "-d", "500", "-o", str(file), *arguments]) == 0
    return json.loads(file.read_text())


def test_command_suggests_the_median_lesion_of_the_folds_training_cases(dataset, tmp_path, capsys):
    folder = dataset()
    splits = [{"train": ["case0", "case1"], "val": ["case2"]}, {"train": ["case5"], "val": ["case0"]}]
    (folder / "splits_final.json").write_text(json.dumps(splits))
    structure = ndimage.generate_binary_structure(3, 2)

    def sizes(*numbers):
        return [size for n in numbers for size in np.bincount(ndimage.label(blobs(n), structure)[0].ravel())[1:]]

    first, second = (run_tau(tmp_path, "--perlesion", "-f", fold) for fold in "01")
    assert (first["n_cases"], first["lesions"]["n"]) == (2, len(sizes(0, 1)))
    assert first["suggested"]["tau"] == round(np.median(sizes(0, 1)))
    assert second["suggested"]["tau"] == round(np.median(sizes(5)))
    assert run_tau(tmp_path, "-f", "all", "-tr", "nnUNetTrainerDTS_perlesion")["suggested"]["tau"] == round(
        np.median(sizes(*range(6)))
    )
    printed = capsys.readouterr().out
    assert f"Suggested: _tau{first['suggested']['tau']:g} (the median of the lesions)" in printed
    assert "mL" in printed


def test_command_draws_the_patches_of_the_trainer(dataset, tmp_path):
    dataset(masks={f"case{n}": blobs(n, threshold=0.75) for n in range(6)})
    drawn = {
        trainer: run_tau(tmp_path, "-tr", trainer, "-f", "all")["patches"]
        for trainer in ("nnUNetTrainerDTS", "nnUNetTrainerDTS_nnUNet", "nnUNetTrainerDTS_lesionuniform")
    }
    shares = [patches["n"] / patches["drawn"] for patches in drawn.values()]
    assert shares[0] > shares[1] + 0.05, "more of the thesis's patches are forced"
    median = {trainer: patches["percentiles"][2]["voxels"] for trainer, patches in drawn.items()}
    assert median["nnUNetTrainerDTS_lesionuniform"] < median["nnUNetTrainerDTS"], "small lesions more often"


def test_command_gives_the_gate_and_the_same_numbers_again(dataset, tmp_path):
    dataset()
    made = [run_tau(tmp_path, "--gate-ml", "5", "--tau", "60") for _ in range(2)]
    assert made[0] == made[1]
    assert made[0]["suggested"]["modifier"] == "_tau600"
    assert made[0]["tau"] == 60


def test_2d_configuration_counts_lesions_in_slices(dataset, tmp_path):
    dataset(spacing=(1.0, 1.0), patch_size=(32, 32), configuration="2d")
    found = run_tau(tmp_path, "-f", "all")
    assert found["spacing_mm"] == [5.0, 1.0, 1.0]
    planes = [ndimage.label(plane, np.ones((3, 3)))[1] for n in range(6) for plane in blobs(n)]
    assert found["lesions"]["n"] == sum(planes)


def test_pixels_have_no_volume(dataset, tmp_path, capsys):
    dataset(
        spacing=(999, 1, 1), patch_size=(1, 16, 16), masks={f"case{n}": blobs(n, shape=(1, 80, 80)) for n in range(6)}
    )
    found = run_tau(tmp_path)
    assert found["spacing_mm"] is None
    assert list(found["lesions"]["percentiles"][0]) == ["percentile", "pixels", "weight", "weight_suggested"]
    capsys.readouterr()
    assert main(["tau", "-d", "500", "--gate-ml", "5"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--gate-ml: 5 mL: these images are of pixels" in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-f", "7"), "-f 7: there are folds 0 to 4, and all"),
        (("-f", "first"), "-f first"),
        (("-tr", "nnUNetTrainer"), "-tr nnUNetTrainer: none of ours"),
        (("-c", "2d"), "-c 2d"),
        (("--tau", "0"), "--tau 0: must be a positive number"),
        (("--gate-ml", "nan"), "--gate-ml nan"),
        (("-o", "tau.jpg"), "tau.jpg"),
    ],
)
def test_bad_arguments(dataset, capsys, arguments, words):
    dataset()
    assert main(["tau", "-d", "500", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_nothing_but_background(dataset, capsys):
    dataset(masks={f"case{n}": np.zeros((4, 8, 8)) for n in range(6)})
    assert main(["tau", "-d", "500"]) == 2
    assert "no training case holds a lesion" in capsys.readouterr().err


def test_without_a_split_file_the_fold_is_nnunets(dataset):
    from nnunetv2.utilities.crossval_split import generate_crossval_split

    folder = dataset()
    expected = generate_crossval_split([f"case{n}" for n in range(6)], seed=12345, n_splits=5)[3]["train"]
    assert training_cases(folder / "masks", "3").identifiers == sorted(expected)
    assert not (folder / "splits_final.json").exists()


@pytest.mark.parametrize("remove", ["case1", None], ids=["one case", "all"])
def test_cases_that_are_not_preprocessed(dataset, remove):
    folder = dataset()
    (folder / "splits_final.json").write_text(json.dumps([{"train": ["case0", "case1"], "val": []}]))
    for file in (folder / "masks").glob(f"{remove or 'case'}*"):
        file.unlink()
    with pytest.raises(UserError, match="case1 of fold 0 is not preprocessed" if remove else "run nnUNetv2_preprocess"):
        training_cases(folder / "masks", "0")
