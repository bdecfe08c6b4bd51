"""The real ISLES 2022 case, and nnU-Net's own verification, planning and preprocessing of what conversion writes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from nnunetv2_sizepenalty.cli.main import main

REAL = os.environ.get("SIZEPENALTY_REAL_DATA")
NAME = "sub-strokecase0009_ses-0001"


@pytest.mark.skipif(not REAL, reason="SIZEPENALTY_REAL_DATA is not set")
def test_the_real_case(nnunet):
    """Read back with another library than the one that wrote."""
    source = Path(REAL) / "isles22"
    assert main(["convert", "isles22", str(source), "-d", "42"]) == 0
    folder = nnunet / "raw/Dataset042_ISLES22"
    original = {role: nibabel.load(next(source.rglob(f"*_{role}.nii.gz"))) for role in ("adc", "dwi", "msk")}
    images = [nibabel.load(folder / f"imagesTr/{NAME}_000{c}.nii.gz") for c in range(3)]
    adc, dwi, mismatch = (np.asarray(image.dataobj) for image in images)
    for image in (*images, nibabel.load(folder / f"labelsTr/{NAME}.nii.gz")):
        assert image.shape == (112, 112, 73)
        assert np.abs(image.affine - original["adc"].affine).max() < 1e-8  # a float32 quaternion's last bit
        assert image.header.get_zooms() == original["adc"].header.get_zooms()
    for written, role in ((adc, "adc"), (dwi, "dwi")):
        values = original[role].get_fdata()
        low, high = np.quantile(values, [0.01, 0.99])
        assert values.min() < 0  # from interpolation
        assert written.dtype == np.float32
        assert (written.min(), written.max()) == (0, 1)
        inside = (values >= low) & (values <= high)
        assert np.abs(written[inside] * (high - low) + low - values[inside]).max() < 1e-6 * (high - low)
        assert (written[values < low] == 0).all()
        assert (written[values > high] == 1).all()
    for index in np.ndindex(mismatch.shape[:2]):
        assert np.abs(mismatch[index] - (dwi[index] - dwi[index] * adc[index])).max() < 1e-6
    label = np.asarray(nibabel.load(folder / f"labelsTr/{NAME}.nii.gz").dataobj)
    assert np.array_equal(label, np.asarray(original["msk"].dataobj))
    assert label.sum() == 523


@pytest.mark.integration
@pytest.mark.skipif(not REAL, reason="SIZEPENALTY_REAL_DATA is not set")
def test_nnunet_verifies_the_real_case(nnunet, capfd):
    from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity

    assert main(["convert", "isles22", str(Path(REAL) / "isles22"), "-d", "42"]) == 0
    verify_dataset_integrity(str(nnunet / "raw/Dataset042_ISLES22"), num_processes=1)
    output = capfd.readouterr().out
    assert "verify_dataset_integrity Done" in output
    assert "Warning" not in output  # of origins and directions that differ


@pytest.mark.integration
@pytest.mark.parametrize("options", [["--single-output", "--spacing", "2", "2", "2"], ["--plain"]], ids=" ".join)
def test_nnunet_verifies_plans_and_preprocesses(source, nnunet, options):
    source.shape = (16, 32, 32)
    for n in range(5):
        source.case(f"sub-{n}", seed=n)
    assert main(["convert", "isles22", str(source.root), "-d", "42", *options]) == 0
    command = ["nnUNetv2_plan_and_preprocess", "-d", "42", "-c", "3d_fullres", "--verify_dataset_integrity"]
    binary = Path(sys.executable).with_name(command[0])
    run = subprocess.run(
        [binary, *command[1:], "-np", "1", "-npfp", "1"],
        capture_output=True,
        text=True,
        env={**os.environ, "nnUNet_def_n_proc": "1", "OMP_NUM_THREADS": "1"},
        timeout=300,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "verify_dataset_integrity Done" in run.stdout
    plans = json.loads((nnunet / "preprocessed/Dataset042_ISLES22/nnUNetPlans.json").read_text())
    configuration = plans["configurations"]["3d_fullres"]
    schemes = ["ZScoreNormalization"] * 2 if "--plain" in options else ["NoNormalization"] * 3
    assert configuration["normalization_schemes"] == schemes
    if "--spacing" in options:
        assert configuration["spacing"] == [2.0, 2.0, 2.0]
    preprocessed = list((nnunet / "preprocessed/Dataset042_ISLES22" / configuration["data_identifier"]).glob("*.b2nd"))
    assert len([path for path in preprocessed if "_seg" not in path.name]) == 5
    kept = json.loads((nnunet / "preprocessed/Dataset042_ISLES22/dataset.json").read_text())
    assert ("size_penalty" in kept) == ("--plain" not in options)
