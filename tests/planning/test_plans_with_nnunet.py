"""Plans of ours through nnU-Net's own commands: planned, preprocessed, trained for two short epochs, predicted."""

import json
import math
import os
import shutil
import zipfile
from pathlib import Path

import pytest
import SimpleITK
import torch
from nnunet_commands import FOLDERS, Workspace

from nnunetv2_sizepenalty.losses import COMMON_COMBINATIONS, build_loss
from nnunetv2_sizepenalty.planning.planner import PLANS_NAME

pytestmark = pytest.mark.integration

TRAINER = "nnUNetTrainerDTS_2epochs"
CONFIGURATION = "3d_fullres"
REAL_DATA = os.environ.get("SIZEPENALTY_REAL_DATA")

# Slices, rows, columns; mm; what is asked of `plan`; the patch and strides that it must give.
PHANTOMS = {
    "256x256x25 at 6 mm": (
        (25, 256, 256),
        (6.0, 0.9, 0.9),
        ["--preset", "proprietary"],
        [32, 128, 128],
        [4, 16, 16],
    ),
    "112x112x73 at 2 mm": ((73, 112, 112), (2.0, 2.0, 2.0), ["--preset", "isles22"], [32, 112, 112], [4, 16, 16]),
    "192x192x38": (
        (38, 192, 192),
        (4.0, 1.2, 1.2),
        ["--patch", "20", "90", "90", "--small-patch", "20", "48", "48"],
        [20, 96, 96],
        [4, 16, 16],
    ),
}


def make_workspace(folder: Path) -> Workspace:
    for name in FOLDERS:
        (folder / name).mkdir()
    return Workspace(folder)


def shrink_network(workspace: Workspace, dataset: str) -> dict:
    """Fewer features and patches per batch, for a CPU; patch, strides and dilations stay as planned."""
    file = workspace.folder / "nnUNet_preprocessed" / dataset / f"{PLANS_NAME}.json"
    plans = json.loads(file.read_text())
    configuration = plans["configurations"][CONFIGURATION]
    kwargs = configuration["architecture"]["arch_kwargs"]
    kwargs |= {"features_per_stage": [2, 4, 4, 4, 4, 4, 4][: kwargs["n_stages"]]}
    kwargs |= {"n_conv_per_stage": [1] * kwargs["n_stages"], "n_conv_per_stage_decoder": [1] * (kwargs["n_stages"] - 1)}
    configuration["batch_size"] = 2
    file.write_text(json.dumps(plans))
    return configuration


def plan_train_predict(workspace: Workspace, dataset: str, *request, fold: str, images: Path) -> tuple[dict, Path]:
    """Returns the plan's configuration and the folder of masks of `images`."""
    number = int(dataset[7:10])
    workspace.run("nnUNetv2_sizepenalty", "plan", "-d", number, "--processes", 2, *request)
    configuration = shrink_network(workspace, dataset)
    common = ("-d", number, "-c", CONFIGURATION)
    workspace.run("nnUNetv2_preprocess", *common, "-plans_name", PLANS_NAME, "-np", 2)
    model = ("-tr", TRAINER, "-p", PLANS_NAME, "-device", "cpu")
    workspace.run("nnUNetv2_train", number, CONFIGURATION, fold, *model)
    masks = workspace.folder / "masks"
    workspace.run(
        "nnUNetv2_predict",
        *("-i", images, "-o", masks, *common, "-f", fold, *model),
        *("-npp", 1, "-nps", 1, "--disable_tta", "-step_size", 1),
    )
    return configuration, masks


def assert_masks_are_on_the_images_grid(masks: Path, images: Path):
    found = sorted(masks.glob("*.nii.gz"))
    assert len(found) == len(list(images.glob("*_0000.nii.gz")))
    for path in found:
        mask = SimpleITK.ReadImage(str(path))
        image = SimpleITK.ReadImage(str(images / path.name.replace(".nii.gz", "_0000.nii.gz")))
        assert mask.GetSize() == image.GetSize()
        assert mask.GetSpacing() == pytest.approx(image.GetSpacing())
        assert mask.GetOrigin() == pytest.approx(image.GetOrigin())


@pytest.mark.parametrize("name", PHANTOMS)
def test_phantoms_of_clinical_shapes(tmp_path, monkeypatch, name):
    shape, spacing, request, patch, divisor = PHANTOMS[name]
    workspace = make_workspace(tmp_path)
    workspace.run(
        "nnUNetv2_sizepenalty",
        *("phantom", "-o", tmp_path / "phantom", "--cases", 2, "--shape", *shape, "--spacing", *spacing),
    )
    workspace.run("nnUNetv2_sizepenalty", "convert", "isles22", tmp_path / "phantom", "-d", 501, "-n", "Shape")
    dataset = "Dataset501_Shape"
    images = workspace.folder / "nnUNet_raw" / dataset / "imagesTr"
    configuration, masks = plan_train_predict(workspace, dataset, *request, fold="all", images=images)
    assert configuration["patch_size"] == patch
    strides = torch.tensor(configuration["architecture"]["arch_kwargs"]["strides"])
    assert strides.prod(dim=0).tolist() == divisor
    assert_masks_are_on_the_images_grid(masks, images)
    if shape[0] < patch[0]:
        check_padding(workspace, monkeypatch, dataset, shape[0])


def check_padding(workspace: Workspace, monkeypatch, dataset: str, n_slices: int):
    """Slices that nnU-Net adds are zero, background in the target, and pushed to background by every combination."""
    for variable in FOLDERS:
        monkeypatch.setenv(variable, str(workspace.folder / variable))
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")
    from nnunetv2_sizepenalty.trainers import nnUNetTrainerDTS

    folder = workspace.folder / "nnUNet_preprocessed" / dataset
    plans, settings = (json.loads((folder / f"{name}.json").read_text()) for name in (PLANS_NAME, "dataset"))
    plans["continue_training"] = False  # as nnUNetv2_train does
    trainer = nnUNetTrainerDTS(plans, CONFIGURATION, "all", settings, torch.device("cpu"))
    trainer.initialize()
    training, validation = trainer.get_dataloaders()
    assert set(next(training)["target"].unique().tolist()) <= {0, 1}
    batch = next(validation)
    for data, target in zip(batch["data"], batch["target"], strict=True):
        padded = (data == 0).all(dim=0).all(dim=-1).all(dim=-1)
        assert padded.sum() >= data.shape[1] - n_slices > 0
        assert (target[0, padded] == 0).all()
        # A small lesion, and half as much again predicted, spread evenly: no term is saturated, S wants less.
        target = target.clone()
        target[:] = 0
        target[0, int((~padded).nonzero()[0]), :8, :8] = 1
        probability = 1.5 * 64 / padded.numel() / data[0, 0].numel()
        logits = torch.zeros(1, 2, *data.shape[1:])
        logits[:, 1] = math.log(probability / (1 - probability))
        # those that 0.1.0 had, and one by lesion (H looks at lesions alone)
        for code in (*COMMON_COMBINATIONS[:19], "DCL"):
            given = logits.clone().requires_grad_()
            build_loss(code, regions=False)(given, target[None]).backward()
            gradient = given.grad[0, 1, padded]
            assert (gradient > 0).all(), f"{code}: padded voxels are not pushed to background"


@pytest.mark.skipif(REAL_DATA is None, reason="SIZEPENALTY_REAL_DATA names no folder")
def test_real_neonatal_adc_as_it_is(tmp_path):
    workspace = make_workspace(tmp_path)
    raw = tmp_path / "nnUNet_raw"
    with zipfile.ZipFile(Path(REAL_DATA) / "bonbid_hie" / "Dataset006_BONBIDHIE.zip") as file:
        file.extractall(raw)
    dataset = "Dataset006_BONBIDHIE"
    images = tmp_path / "images"
    images.mkdir()
    for path in sorted((raw / dataset / "imagesTr").iterdir())[:3]:
        shutil.copy(path, images)
    configuration, masks = plan_train_predict(workspace, dataset, "--gpu-memory-gb", 4, fold="0", images=images)
    assert configuration["patch_size"] == [24, 80, 64]
    assert_masks_are_on_the_images_grid(masks, images)
