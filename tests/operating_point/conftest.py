"""Results folders for the operating point: written by hand for the unit tests, trained for the integration tests."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from nnunet_commands import Workspace
from operating_point_data import SOFTMAX, softmax_of, write_image
from scipy.ndimage import gaussian_filter

from nnunetv2_sizepenalty.nnunet_io.model_folder import ModelFolder
from nnunetv2_sizepenalty.phantom import generate_case


@pytest.fixture(scope="session")
def phantom_predictions() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """20 phantom cases: reference mask and a noisy float32 probability; the last is lesion-free."""
    cases = {}
    for index in range(20):
        mask = generate_case(11, index, (24, 32, 32), (6, 6, 6)).mask > 0
        if index == 19:
            mask[:] = False
        rng = np.random.default_rng(index)
        noise = gaussian_filter(rng.normal(size=mask.shape), 1.2) * 12
        logit = 7 * gaussian_filter(mask.astype(float), 0.8) - 4.5 + noise
        cases[f"case_{index:02}"] = mask, (1 / (1 + np.exp(-logit))).astype(np.float32)
    return cases


@pytest.fixture
def write_model(tmp_path) -> Callable[..., ModelFolder]:
    """Writes a results folder as nnU-Net leaves it after `--val --npz`, without checkpoints."""

    def write(
        folds: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]],
        dataset: Mapping = SOFTMAX,
        name: str = "model",
    ) -> ModelFolder:
        """`folds`: fold -> case -> (reference label map, probabilities with all channels)."""
        path, references = tmp_path / name / "nnUNetTrainer__nnUNetPlans__3d_fullres", tmp_path / name / "references"
        path.mkdir(parents=True)
        plans = {"dataset_name": "Dataset042_Test", "plans_name": "nnUNetPlans", "image_reader_writer": "SimpleITKIO"}
        (path / "plans.json").write_text(json.dumps(plans))
        (path / "dataset.json").write_text(json.dumps({**dataset, "file_ending": ".nii.gz"}))
        for fold, cases in folds.items():
            validation = path / f"fold_{fold}" / "validation"
            validation.mkdir(parents=True)
            for case, (reference, probabilities) in cases.items():
                write_image(references / f"{case}.nii.gz", reference.astype(np.uint8))
                np.savez_compressed(validation / f"{case}.npz", probabilities=probabilities)
            rows = [{"prediction_file": str(validation / f"{case}.nii.gz")} for case in cases]
            (validation / "summary.json").write_text(json.dumps({"metric_per_case": rows}))
        return ModelFolder(path, references)

    return write


@pytest.fixture
def small_folds(write_model, phantom_predictions):
    """Two folds of two cases."""
    cases = {name: (mask, softmax_of(p)) for name, (mask, p) in list(phantom_predictions.items())[:4]}
    return write_model({"0": {n: cases[n] for n in list(cases)[::2]}, "1": {n: cases[n] for n in list(cases)[1::2]}})


@pytest.fixture(scope="session")
def models(workspace) -> Workspace:
    """A softmax model in five folds and a region model in two, trained for seconds, with .npz of their validation."""
    models = [f"nnUNetTrainerDC_nnUNet:901:{fold}" for fold in range(5)] + [
        "nnUNetTrainer:902:0",
        "nnUNetTrainer:902:1",
    ]
    script = Path(__file__).with_name("train_models.py")
    environment = {**workspace.environment, "PYTHONPATH": str(script.parents[1] / "support")}
    done = subprocess.run([sys.executable, script, *models], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return workspace
