"""Trainers in this process, on the tiny dataset."""

import json

import pytest
import torch

LARGE, SMALL = (8, 16, 16), (8, 8, 8)


@pytest.fixture
def make(tiny_dataset, monkeypatch, tmp_path):
    """Makes an initialised trainer of the tiny dataset whose results lie in `tmp_path / folder`."""
    from nnunetv2.run.run_training import get_trainer_from_args

    for name, value in tiny_dataset.workspace.environment.items():
        monkeypatch.setenv(name, value)
    preprocessed = tiny_dataset.workspace.folder / "nnUNet_preprocessed" / tiny_dataset.name
    plans = json.loads((preprocessed / f"{tiny_dataset.plans}.json").read_text())
    plans["plans_name"] = "TinyMixedPlans"
    plans["configurations"]["3d_fullres"]["size_penalty"] = {
        "small_patch_size": list(SMALL),
        "small_patch_probability": 0.2,
    }
    (preprocessed / "TinyMixedPlans.json").write_text(json.dumps(plans))
    made, threads = [], torch.get_num_threads()
    torch.set_num_threads(1)

    def make_trainer(name, folder="results", plans="TinyMixedPlans", workers=0, continued=False):
        monkeypatch.setenv("nnUNet_n_proc_DA", str(workers))
        trainer = get_trainer_from_args(
            tiny_dataset.id, "3d_fullres", 0, name, plans, continued, device=torch.device("cpu")
        )
        trainer.output_folder_base = trainer.output_folder = str(tmp_path / folder)
        trainer.log_file = str(tmp_path / folder / "log.txt")
        (tmp_path / folder).mkdir(exist_ok=True)
        trainer.initialize()
        made.append(trainer)
        return trainer

    yield make_trainer
    torch.set_num_threads(threads)
    for trainer in reversed(made):
        trainer.job_signals.release()
