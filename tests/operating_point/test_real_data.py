"""Neonatal ADC, from the raw folder to a baked model, by the commands of docs/operating_point.md."""

import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from nnunet_commands import write_small_plan

REAL_DATA = os.environ.get("SIZEPENALTY_REAL_DATA")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(REAL_DATA is None, reason="SIZEPENALTY_REAL_DATA names no folder"),
]

DATASET, PLANS = "Dataset906_BONBIDHIE", "SmallPlans"
TRAINER = "nnUNetTrainerDCS_nnUNet_1epochs_seed0"
# Validation cases: six of the seven largest lesions (the largest is nearly the whole brain), which 250 steps do learn.
FOLDS = {"0": ["hie_010", "hie_028", "hie_379"], "1": ["hie_015", "hie_441", "hie_456"]}
PREDICTED = ["hie_379", "hie_456"]


@pytest.fixture
def raw(workspace) -> Path:
    """The cases preprocessed with a small plan, in two folds; returns their raw folder."""
    folder, cases = workspace.folder / "nnUNet_raw" / DATASET, [case for fold in FOLDS.values() for case in fold]
    with zipfile.ZipFile(Path(REAL_DATA) / "bonbid_hie" / "Dataset006_BONBIDHIE.zip") as file:
        wanted = [f"imagesTr/{case}_0000.nii.gz" for case in cases] + [f"labelsTr/{case}.nii.gz" for case in cases]
        for name in wanted:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(file.read(f"Dataset006_BONBIDHIE/{name}"))
        description = json.loads(file.read("Dataset006_BONBIDHIE/dataset.json"))
    # ADC is quantitative: nnU-Net's scheme for such channels goes by that name
    description |= {"numTraining": len(cases), "channel_names": {"0": "CT"}}
    (folder / "dataset.json").write_text(json.dumps(description))
    workspace.run("nnUNetv2_extract_fingerprint", "-d", 906, "-np", 1)
    workspace.run("nnUNetv2_plan_experiment", "-d", 906, nnUNet_n_proc_DA="1")
    plan = {"configuration": "3d_fullres", "patch_size": (16, 64, 64), "batch_size": 2, "features": (8, 16, 32)}
    write_small_plan(workspace, DATASET, PLANS, **plan)
    workspace.run("nnUNetv2_preprocess", "-d", 906, "-plans_name", PLANS, "-c", "3d_fullres", "-np", 1)
    splits = [{"train": FOLDS[other], "val": FOLDS[fold]} for fold, other in (("0", "1"), ("1", "0"))]
    (workspace.folder / "nnUNet_preprocessed" / DATASET / "splits_final.json").write_text(json.dumps(splits))
    return folder


def test_trained_in_two_folds_chosen_cross_fitted_baked_and_predicted(workspace, raw, tmp_path):
    common = ("-p", PLANS, "-device", "cpu")
    for fold in FOLDS:
        workspace.run("nnUNetv2_train", 906, "3d_fullres", fold, "-tr", TRAINER, *common, "--npz")
    model = workspace.folder / "nnUNet_results" / DATASET / f"{TRAINER}__{PLANS}__3d_fullres"

    thesis = choose(workspace, model, tmp_path / "thesis", "--thresholds", 0.3, 0.4, 0.5, 0.6, 0.7)
    assert thesis["ensemble"]["threshold"] in (0.3, 0.4, 0.5, 0.6, 0.7)
    assert thesis["ensemble"]["min_size"] == 5
    search = ("--thresholds", "dense", "--min-voxels", 5, 10, 20, "--cross-fit")
    lesion = choose(workspace, model, tmp_path / "dense", *search)
    for fold, other in (("0", "1"), ("1", "0")):
        fitted = lesion["cross_fit"][fold]
        assert fitted["chosen"]["threshold"] == lesion["folds"][other]["threshold"]
        # the best of a search is no worse on its own cases than what was chosen elsewhere
        assert max(fitted["cross_fitted"], fitted["nnunet"]) <= fitted["optimistic"]
    assert lesion["ensemble"]["score"] > max(0.2, lesion["ensemble"]["score_nnunet"])

    point, baked = tmp_path / "dense" / "operating_point.json", model.with_name(f"Baked__{PLANS}__3d_fullres")
    bake = ("bake", model, "--operating-point", point, "--as-nnunet-trainer", "-o", baked)
    workspace.run("nnUNetv2_sizepenalty", *bake)
    images, probabilities, predicted = (tmp_path / name for name in ("images", "probabilities", "predicted"))
    images.mkdir()
    for case in PREDICTED:
        shutil.copy(raw / "imagesTr" / f"{case}_0000.nii.gz", images)
    predict = ("-i", images, "-d", 906, "-c", "3d_fullres", *common, "-f", 0, 1, "--disable_tta", "-npp", 1, "-nps", 1)
    workspace.run("nnUNetv2_predict", *predict, "-tr", "Baked", "-o", predicted)
    workspace.run("nnUNetv2_predict", *predict, "-tr", TRAINER, "-o", probabilities, "--save_probabilities")
    stock = predicted
    if lesion["ensemble"]["min_size"]:
        filters, stock = baked / "crossval_results_folds_0_1" / "postprocessing.pkl", tmp_path / "filtered"
        options = ("-i", predicted, "-o", stock, "-pp_pkl_file", filters, "-np", 1)
        workspace.run("nnUNetv2_apply_postprocessing", *options)
    apply = ("apply", "-i", probabilities, "-o", tmp_path / "applied", "--operating-point", point, "-np", 1)
    workspace.run("nnUNetv2_sizepenalty", *apply)

    for case in PREDICTED:
        ours, theirs = (read_mask(folder / f"{case}.nii.gz") for folder in (tmp_path / "applied", stock))
        assert ours.any()
        assert (ours != theirs).sum() <= 0.01 * ours.sum()  # logits within rounding of the threshold's


def choose(workspace, model: Path, output: Path, *options) -> dict:
    """`threshold` on both folds; what operating_point.json says of the lesion."""
    workspace.run("nnUNetv2_sizepenalty", "threshold", model, "-f", 0, 1, "-o", output, "-np", 1, *options)
    report = json.loads((output / "operating_point.json").read_text())
    assert {fold: sorted(cases) for fold, cases in report["source"]["cases"].items()} == FOLDS
    return report["classes"]["lesion"]


def read_mask(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
