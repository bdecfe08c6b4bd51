"""nnUNetTrainerDTS on real data, from the raw folder to scored masks: stroke, neonatal ADC, hippocampus."""

import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest
from nnunet_commands import write_small_plan

REAL_DATA = os.environ.get("SIZEPENALTY_REAL_DATA")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(REAL_DATA is None, reason="SIZEPENALTY_REAL_DATA names no folder"),
]


def plan_small(workspace, number, dataset, **values):
    workspace.run("nnUNetv2_extract_fingerprint", "-d", number, "-np", 2, "--verify_dataset_integrity")
    workspace.run("nnUNetv2_plan_experiment", "-d", number, nnUNet_n_proc_DA="1")
    write_small_plan(workspace, dataset, "SmallPlans", configuration="3d_fullres", **values)
    workspace.run("nnUNetv2_preprocess", "-d", number, "-plans_name", "SmallPlans", "-c", "3d_fullres", "-np", 2)


def train_and_predict(workspace, number, trainer, fold, images, output):
    common = ("-tr", trainer, "-p", "SmallPlans", "-device", "cpu")
    workspace.run("nnUNetv2_train", number, "3d_fullres", fold, *common)
    workspace.run(
        "nnUNetv2_predict",
        *("-i", images, "-o", output, "-d", number, "-c", "3d_fullres", "-f", fold, *common, "-npp", 1, "-nps", 1),
    )


def some_images(dataset: Path, output: Path, cases: int) -> Path:
    """The images of the last few cases, to predict on."""
    output.mkdir()
    names = sorted({path.name.rsplit("_", 1)[0] for path in (dataset / "imagesTr").iterdir()})[-cases:]
    for name in names:
        for path in (dataset / "imagesTr").glob(f"{name}_*"):
            shutil.copy(path, output)
    return output


def test_isles_case_trained_on_all_and_predicted(workspace, tmp_path):
    workspace.run("nnUNetv2_sizepenalty", "convert", "isles22", Path(REAL_DATA) / "isles22", "-d", 991, "-n", "ISLES")
    plan_small(workspace, 991, "Dataset991_ISLES", patch_size=(16, 64, 64), batch_size=2, features=(4, 8, 8))
    raw = workspace.folder / "nnUNet_raw" / "Dataset991_ISLES"
    train_and_predict(workspace, 991, "nnUNetTrainerDTS_6epochs", "all", raw / "imagesTr", tmp_path / "masks")
    (scores,) = evaluate(workspace, raw / "labelsTr", tmp_path / "masks", tmp_path / "scores")
    assert scores["n_reference"] == 18  # components, with 18-connectivity
    assert 0 <= scores["dice"] <= 1


@pytest.mark.parametrize(
    ("archive", "dataset", "plan", "epochs", "labels"),
    [
        (
            "bonbid_hie/Dataset006_BONBIDHIE.zip",
            "Dataset006_BONBIDHIE",
            {"patch_size": (8, 64, 64), "batch_size": 8, "features": (4, 8, 8)},
            3,
            1,
        ),
        (
            "msd_hippocampus/Dataset004_Hippocampus.zip",
            "Dataset004_Hippocampus",
            {"patch_size": (24, 32, 24), "batch_size": 24, "features": (4, 8, 8)},
            1,  # of 1,740 patches
            2,
        ),
    ],
    ids=["neonatal ADC", "hippocampus"],
)
def test_dataset_as_it_is(workspace, tmp_path, archive, dataset, plan, epochs, labels):
    with zipfile.ZipFile(Path(REAL_DATA) / archive) as file:
        file.extractall(workspace.folder / "nnUNet_raw")
    raw = workspace.folder / "nnUNet_raw" / dataset
    number = int(dataset[7:10])
    plan_small(workspace, number, dataset, **plan)
    images = some_images(raw, tmp_path / "images", cases=3)
    trainer = f"nnUNetTrainerDTS_{epochs}epochs"
    train_and_predict(workspace, number, trainer, "0", images, tmp_path / "masks")

    references = tmp_path / "references"
    references.mkdir()
    for path in (tmp_path / "masks").glob("*.nii.gz"):
        shutil.copy(raw / "labelsTr" / path.name, references)
    rows = evaluate(workspace, references, tmp_path / "masks", tmp_path / "scores", "-djfile", raw / "dataset.json")
    assert len(rows) == 3 * labels
    summary = workspace.folder / "nnUNet_results" / dataset / f"{trainer}__SmallPlans__3d_fullres/fold_0/validation"
    assert len(json.loads((summary / "summary.json").read_text())["mean"]) == labels


def evaluate(workspace, references, predictions, output, *options):
    """Rows of cases.csv of our own evaluation."""
    import pandas as pd

    workspace.run("nnUNetv2_sizepenalty", "evaluate", "-ref", references, "-pred", predictions, "-o", output, *options)
    return pd.read_csv(output / "cases.csv").to_dict("records")
