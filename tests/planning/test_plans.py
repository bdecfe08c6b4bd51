import json
from pathlib import Path

import pytest
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunetv2_sizepenalty.cli.main import main
from nnunetv2_sizepenalty.planning.memory import CUDA_RESERVE, GIB
from nnunetv2_sizepenalty.planning.planner import PLANS_NAME, Request, plan_memory
from nnunetv2_sizepenalty.planning.plans import plan_dataset
from nnunetv2_sizepenalty.planning.shared_data import share_preprocessed_data
from nnunetv2_sizepenalty.planning.topology import Topology

NAME = "Dataset123_Stroke"
# Shape (z, y, x) and spacing in mm of the data that the thesis and its neighbours have.
CLINICAL = ((25, 256, 256), (6.0, 0.9, 0.9))
ISLES = ((73, 112, 112), (2.0, 2.0, 2.0))
SMALL = ((20, 40, 40), (5.0, 2.0, 2.0))


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    """Makes nnU-Net's folders with a data set of equal images: its fingerprint, and names without images."""

    def make(shape, spacing, *, n_cases=200, channels=3):
        for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
            (tmp_path / variable / NAME).mkdir(parents=True)
            monkeypatch.setenv(variable, str(tmp_path / variable))
        settings = {
            "channel_names": {str(channel): "noNorm" for channel in range(channels)},
            "labels": {"background": 0, "lesion": 1},
            "numTraining": n_cases,
            "file_ending": ".nii.gz",
            "overwrite_image_reader_writer": "SimpleITKIO",
            "dataset": {"case": {"images": ["case_0000.nii.gz"], "label": "case.nii.gz"}},
        }
        (tmp_path / "nnUNet_raw" / NAME / "dataset.json").write_text(json.dumps(settings))
        statistics = dict.fromkeys(("max", "mean", "median", "min", "percentile_00_5", "percentile_99_5", "std"), 0.5)
        fingerprint = {
            "spacings": [list(spacing)] * 3,
            "shapes_after_crop": [list(shape)] * 3,
            "foreground_intensity_properties_per_channel": {str(channel): statistics for channel in range(channels)},
            "median_relative_size_after_cropping": 1.0,
        }
        folder = tmp_path / "nnUNet_preprocessed" / NAME
        (folder / "dataset_fingerprint.json").write_text(json.dumps(fingerprint))
        return folder

    return make


def planned(folder, configuration="3d_fullres"):
    """The configuration as nnU-Net's trainer reads it."""
    return PlansManager(str(folder / f"{PLANS_NAME}.json")).get_configuration(configuration)


@pytest.mark.parametrize(("preset", "patch"), [("isles22", [32, 112, 112]), ("proprietary", [32, 128, 128])])
@pytest.mark.parametrize("images", [CLINICAL, ISLES], ids=["clinical", "ISLES"])
def test_presets(dataset, preset, patch, images):
    folder = dataset(*images)
    assert main(["plan", "-d", "123", "--preset", preset]) == 0
    configuration = planned(folder)
    assert configuration.patch_size == patch
    assert configuration.batch_size == 18
    assert configuration.network_arch_class_name == "nnunetv2_sizepenalty.architectures.AttentionASPPUNet"
    kwargs = configuration.network_arch_init_kwargs
    assert kwargs["strides"] == [[1, 1, 1], [1, 2, 2], [1, 2, 2], [2, 2, 2], [2, 2, 2]]
    assert kwargs["features_per_stage"] == [32, 64, 128, 256, 320]
    assert kwargs["conv_bias"] is False
    assert len(kwargs["aspp_dilations"]) == 3
    assert configuration.configuration["size_penalty"] == {
        "small_patch_size": [32, 64, 64],
        "small_patch_probability": 0.2,
    }


def test_named_patches_and_batch(dataset):
    folder = dataset(*CLINICAL)
    request = ["--patch", "24", "96", "96", "--small-patch", "24", "48", "48", "--batch", "5"]
    assert main(["plan", "-d", NAME, *request]) == 0
    configuration = planned(folder)
    assert configuration.patch_size == [24, 96, 96]
    assert configuration.configuration["size_penalty"]["small_patch_size"] == [24, 48, 48]
    assert configuration.batch_size == 5


def test_patches_are_in_the_images_axis_order(dataset):
    """Sagittal slices: x is the coarse axis, which nnU-Net puts first."""
    folder = dataset((256, 256, 25), (0.9, 0.9, 6.0))
    planner = plan_dataset("123", request=Request((96, 128, 24), (48, 64, 16), 2))
    assert planner.plans["transpose_forward"] == [2, 0, 1]
    configuration = planned(folder)
    assert configuration.patch_size == [24, 96, 128]
    assert configuration.configuration["size_penalty"]["small_patch_size"] == [16, 48, 64]


def test_presets_put_their_slices_on_the_coarse_axis(dataset):
    folder = dataset((256, 256, 25), (0.9, 0.9, 6.0))
    plan_dataset("123", request=Request(preset="proprietary"))
    assert planned(folder).patch_size == [32, 128, 128]


def test_2d_takes_two_numbers(dataset):
    folder = dataset(*SMALL)
    assert main(["plan", "-d", "123", "-c", "2d", "--patch", "32", "48", "--batch", "7"]) == 0
    configuration = planned(folder, "2d")
    assert configuration.patch_size == [32, 48]
    assert configuration.batch_size == 7
    assert configuration.network_arch_init_kwargs["conv_op"].endswith("Conv2d")
    assert planned(folder).network_arch_class_name.endswith("AttentionASPPUNet")


def test_rounding_up_is_said(dataset, capsys):
    folder = dataset(*CLINICAL)
    request = ["--patch", "30", "100", "100", "--small-patch", "30", "50", "50", "--batch", "2"]
    assert main(["plan", "-d", "123", *request]) == 0
    configuration = planned(folder)
    assert configuration.patch_size == [32, 112, 112]
    assert configuration.configuration["size_penalty"]["small_patch_size"] == [32, 64, 64]
    printed = capsys.readouterr().out
    assert "--patch 30x100x100 is rounded up to 32x112x112, a multiple of the strides' 4x16x16" in printed
    assert "--small-patch 30x50x50 is rounded up to 32x64x64" in printed


def test_nothing_is_said_of_a_patch_that_fits(dataset, capsys):
    dataset(*CLINICAL)
    assert main(["plan", "-d", "123", "--patch", "24", "64", "64", "--batch", "2"]) == 0
    printed = capsys.readouterr().out
    assert "rounded up" not in printed
    assert "pads with zeros" not in printed


def test_padding_is_said(dataset, capsys):
    dataset(*CLINICAL)
    assert main(["plan", "-d", "123", "--preset", "proprietary"]) == 0
    assert "25x256x256 voxels, is smaller than the patch 32x128x128" in capsys.readouterr().out


def bytes_needed(configuration, n_channels=3):
    kwargs = configuration.network_arch_init_kwargs
    strides, kernels = (tuple(map(tuple, kwargs[key])) for key in ("strides", "kernel_sizes"))
    memory = plan_memory(Topology(tuple(configuration.patch_size), strides, kernels), n_channels, 2)
    return memory.at(configuration.batch_size) + CUDA_RESERVE, memory


@pytest.mark.parametrize(("images", "target"), [(CLINICAL, 4), (ISLES, 11)], ids=["clinical", "ISLES"])
def test_auto_fills_the_target_and_stays_below(dataset, images, target):
    folder = dataset(*images)
    plan_dataset("123", gpu_memory_gb=target)
    for name in ("2d", "3d_fullres"):
        configuration = planned(folder, name)
        needed, memory = bytes_needed(configuration)
        assert needed <= target * GIB
        assert needed + memory.per_sample > target * GIB or configuration.batch_size >= 0.05 * 200


def test_auto_takes_no_more_than_a_twentieth_of_the_data(dataset):
    folder = dataset(*SMALL, n_cases=60)
    plan_dataset("123", gpu_memory_gb=40)
    configuration = planned(folder)
    shape = SMALL[0]
    share = configuration.batch_size * configuration.patch_size[1] * configuration.patch_size[2]
    assert configuration.patch_size[0] * share <= 1.2 * 0.05 * 60 * shape[0] * shape[1] * shape[2]


def test_auto_fits_the_patch_to_a_named_batch(dataset):
    folder = dataset(*CLINICAL)
    plan_dataset("123", request=Request(batch_size=2))
    two = planned(folder).patch_size
    plan_dataset("123", request=Request(batch_size=12))
    twelve = planned(folder)
    assert twelve.batch_size == 12
    assert bytes_needed(twelve)[0] <= 8 * GIB
    assert twelve.patch_size[1] < two[1]


def test_a_request_beyond_the_target_is_planned_and_said(dataset, capsys):
    folder = dataset(*CLINICAL)
    assert main(["plan", "-d", "123", "--preset", "proprietary", "--gpu-memory-gb", "8"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "too much for the target" in line)
    batch = int(line.split("--batch ")[1].split(",")[0])
    memory = bytes_needed(planned(folder))[1]
    assert memory.at(batch) + CUDA_RESERVE <= 8 * GIB < memory.at(batch + 1) + CUDA_RESERVE


def test_large_images_get_a_low_resolution_plan_too(dataset):
    folder = dataset((160, 320, 320), (1.0, 0.7, 0.7))
    plan_dataset("123", gpu_memory_gb=4)
    plans = json.loads((folder / f"{PLANS_NAME}.json").read_text())
    assert set(plans["configurations"]) == {"2d", "3d_fullres", "3d_lowres", "3d_cascade_fullres"}
    assert planned(folder, "3d_cascade_fullres").configuration["size_penalty"]["small_patch_probability"] == 0.2


def test_preprocessed_data_of_nnunet_are_shared_where_they_would_be_the_same(dataset):
    from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner

    folder = dataset(*CLINICAL)
    ExperimentPlanner(NAME).plan_experiment()
    plan_dataset("123", request=Request(preset="proprietary"))
    assert planned(folder).data_identifier == "nnUNetPlans_3d_fullres"
    assert planned(folder, "2d").data_identifier == "nnUNetPlans_2d"


@pytest.mark.parametrize(
    ("change", "shared"),
    [
        ({}, True),
        ({"patch_size": [8, 8, 8]}, True),
        ({"spacing": [3.0, 1.0, 1.0]}, False),
        ({"normalization_schemes": ["ZScoreNormalization"]}, False),
        ({"resampling_fn_data_kwargs": {"order": 1}}, False),
    ],
)
def test_only_data_that_would_be_the_same_are_shared(change, shared):
    configuration = {
        "data_identifier": "ours",
        "spacing": [6.0, 1.0, 1.0],
        "normalization_schemes": ["NoNormalization"],
        "resampling_fn_data_kwargs": {"order": 3},
        "patch_size": [4, 4, 4],
    }
    axes = {"transpose_forward": [0, 1, 2], "image_reader_writer": "SimpleITKIO"}
    plans = {"configurations": {"3d_fullres": dict(configuration)}, **axes}
    stock = {"configurations": {"3d_fullres": {**configuration, "data_identifier": "theirs", **change}}, **axes}
    share_preprocessed_data(plans, stock)
    assert plans["configurations"]["3d_fullres"]["data_identifier"] == ("theirs" if shared else "ours")


def test_data_in_another_axis_order_are_not_shared():
    configuration = {"data_identifier": "ours", "spacing": [6.0, 1.0, 1.0]}
    plans = {"configurations": {"2d": dict(configuration)}, "transpose_forward": [0, 1, 2], "image_reader_writer": "A"}
    stock = {
        "configurations": {"2d": {**configuration, "data_identifier": "theirs"}},
        "transpose_forward": [2, 0, 1],
        "image_reader_writer": "A",
    }
    share_preprocessed_data(plans, stock)
    assert plans["configurations"]["2d"]["data_identifier"] == "ours"


def test_nnunets_own_plan_is_left_alone(dataset):
    folder = dataset(*CLINICAL)
    (folder / "nnUNetPlans.json").write_text('{"transpose_forward": [2, 1, 0]}')
    plan_dataset("123", request=Request(preset="isles22"))
    assert (folder / "nnUNetPlans.json").read_text() == '{"transpose_forward": [2, 1, 0]}'


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-d", "77"], "-d 77: no such dataset"),
        (["-d", "123", "-c", "3d_lowres"], "-c 3d_lowres: Dataset123_Stroke can be planned for 2d, 3d_fullres"),
        (["-d", "123", "-c", "5d"], "-c 5d"),
        (["-d", "123", "--patch", "32", "64"], "--patch 32 64: -c 3d_fullres needs 3"),
        (["-d", "123", "-c", "2d", "--patch", "8", "64", "64"], "-c 2d needs 2"),
        (["-d", "123", "--small-patch", "64"], "--small-patch 64"),
        (["-d", "123", "--patch", "0", "64", "64"], "--patch 0 64 64"),
        (["-d", "123", "--patch", "8", "32", "32", "--small-patch", "8", "64", "64"], "larger than the patch"),
        (["-d", "123", "--patch", "16", "64", "64", "--small-patch", "1", "1", "1"], "single voxel"),
        (["-d", "123", "--patch", "4", "4", "4"], "too small for a U-Net"),
        (["-d", "123", "--preset", "isles"], "--preset isles: there are isles22, proprietary and auto"),
        (["-d", "123", "--preset", "isles22", "--patch", "8", "64", "64"], "leave out --patch"),
        (["-d", "123", "--preset", "isles22", "-c", "2d"], "-c 2d"),
        (["-d", "123", "--batch", "0"], "--batch 0"),
        (["-d", "123", "--gpu-memory-gb", "0.1"], "--gpu-memory-gb 0.1: too little"),
        (["-d", "123", "--gpu-memory-gb", "-1"], "--gpu-memory-gb -1"),
        (["-d", "123", "--processes", "0"], "--processes 0"),
    ],
)
def test_bad_input_is_refused_in_one_line_and_nothing_written(dataset, capsys, arguments, message):
    folder = dataset(*SMALL)
    assert main(["plan", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (folder / f"{PLANS_NAME}.json").exists()


@pytest.mark.parametrize("variable", ["nnUNet_raw", "nnUNet_preprocessed"])
def test_unset_folders_are_named(dataset, monkeypatch, capsys, variable):
    dataset(*SMALL)
    monkeypatch.delenv(variable)
    assert main(["plan", "-d", "123"]) == 2
    assert variable in capsys.readouterr().err


def test_a_dataset_without_its_raw_folder_is_refused(dataset, capsys):
    folder = dataset(*SMALL)
    (Path(folder).parents[1] / "nnUNet_raw" / NAME / "dataset.json").unlink()
    assert main(["plan", "-d", "123"]) == 2
    assert "dataset.json" in capsys.readouterr().err
