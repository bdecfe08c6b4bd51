"""Trains the models of the integration tests in one process: `train_models.py TRAINER:DATASET:FOLD ...`.

nnU-Net's own planner, preprocessor, trainers and final validation, on bright blobs in noise. Its worker processes are
threads here, since each process would take seconds to import torch.
"""

import json
import multiprocessing
import os
import random
import sys
import types
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
import torch
from nnunetv2.experiment_planning.plan_and_preprocess_api import (
    extract_fingerprints,
    plan_experiments,
    preprocess_dataset,
)
from nnunetv2.paths import nnUNet_preprocessed, nnUNet_raw
from nnunetv2.run.run_training import get_trainer_from_args
from operating_point_data import REGIONS, SOFTMAX, write_image
from scipy.ndimage import binary_erosion, gaussian_filter

from nnunetv2_sizepenalty.demo.small_plan import shrink_plan

DATASETS = {"901": ("Dataset901_Softmax", SOFTMAX), "902": ("Dataset902_Regions", REGIONS)}
N_CASES, N_TEST, SHAPE = 10, 2, (20, 40, 36)
PLANS = "TinyPlans"


def make_case(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """An image and its label map: a few blobs, 2 in their middle and 1 around; the brighter the further in."""
    rng = np.random.default_rng(seed)
    z, y, x = np.indices(SHAPE)
    lesion = np.zeros(SHAPE, bool)
    for _ in range(rng.integers(2, 6)):
        centre, radius = [rng.uniform(3, n - 3) for n in SHAPE], rng.uniform(1.5, 5)
        lesion |= (2 * (z - centre[0])) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 < radius**2
    label = lesion.astype(np.uint8) + binary_erosion(lesion)
    image = gaussian_filter(label.astype(float), 0.7) * 1.2 + gaussian_filter(rng.normal(size=SHAPE), 0.6)
    return image.astype(np.float32), label


def write_dataset(name: str, labels: dict) -> None:
    folder = Path(nnUNet_raw) / name
    for seed in range(N_CASES + N_TEST):
        image, label = make_case(seed)
        part = "Tr" if seed < N_CASES else "Ts"
        write_image(folder / f"images{part}" / f"case_{seed:02}_0000.nii.gz", image)
        if labels is SOFTMAX:
            label = label.clip(max=1)
        write_image(folder / f"labels{part}" / f"case_{seed:02}.nii.gz", label)
    dataset = {**labels, "channel_names": {"0": "MR"}, "numTraining": N_CASES, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(dataset))


def prepare(dataset_id: int, name: str, labels: dict) -> None:
    write_dataset(name, labels)
    extract_fingerprints([dataset_id], num_processes=1, show_progress_bar=False)
    os.environ["nnUNet_n_proc_DA"] = "1"  # the planner can't do with none
    plan_experiments([dataset_id])
    os.environ["nnUNet_n_proc_DA"] = "0"
    folder = Path(nnUNet_preprocessed) / name
    plans = json.loads((folder / "nnUNetPlans.json").read_text())
    small = shrink_plan(
        plans, PLANS, configuration="3d_fullres", patch_size=(8, 24, 24), batch_size=2, features=(4, 8, 8)
    )
    (folder / f"{PLANS}.json").write_text(json.dumps(small))
    preprocess_dataset(dataset_id, PLANS, ("3d_fullres",), (1,))


def train(trainer_name: str, dataset: str, fold: str) -> None:
    for seed in (torch.manual_seed, np.random.seed, random.seed):
        seed(int(fold))
    trainer = get_trainer_from_args(dataset, "3d_fullres", int(fold), trainer_name, PLANS, device=torch.device("cpu"))
    trainer.num_epochs, trainer.num_iterations_per_epoch, trainer.num_val_iterations_per_epoch = 1, 60, 1
    trainer.initial_lr = 0.05
    trainer.run_training()
    trainer.perform_actual_validation(save_probabilities=True)


if __name__ == "__main__":
    multiprocessing.get_context = lambda method=None: types.SimpleNamespace(Pool=ThreadPool, Manager=None)
    torch.set_num_threads(1)
    models = [model.split(":") for model in sys.argv[1:]]
    for dataset_id in sorted({dataset for _, dataset, _ in models}):
        prepare(int(dataset_id), *DATASETS[dataset_id])
    for model in models:
        train(*model)
