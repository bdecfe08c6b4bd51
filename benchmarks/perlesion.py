"""S per lesion: what it costs in a training step on the demo's plan, and what it weighs on real masks.

OMP_NUM_THREADS=1 python benchmarks/perlesion.py speed FOLDER [--batches 60]    # FOLDER: of the demo, or made here
python benchmarks/perlesion.py weights lesion_masks_mni_1mm.npz    # SOOP's: `shape`, and packed bits for each case

speed: medians of the processor's time, of batches that both trainers get alike, in one thread; cells are made by the
loader. weights: exp(-V / tau) of each lesion under 1 mL at 2 mm in a patch of 32 x 128 x 128 around it.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from nnunetv2_sizepenalty.demo.run import DATASET_ID, PLANS, Demo
from nnunetv2_sizepenalty.lesions import component_voxels, label_components, voxels_from_ml

RECIPES = {"the thesis's": "", "nnU-Net's": "_nnUNet"}
SPACING_MM, PATCH = (2.0, 2.0, 2.0), (32, 128, 128)


def seconds(function: Callable, *arguments):
    begin = time.process_time()
    result = function(*arguments)
    return time.process_time() - begin, result


def make_trainer(name: str, folder: str):
    import torch
    from nnunetv2.run.run_training import get_trainer_from_args

    trainer = get_trainer_from_args(DATASET_ID, "3d_fullres", 0, name, PLANS, device=torch.device("cpu"))
    trainer.output_folder_base = trainer.output_folder = folder
    trainer.log_file = str(Path(folder) / "log.txt")
    trainer.initialize()
    trainer.set_deep_supervision_enabled(trainer.enable_deep_supervision)
    trainer.network.train()
    return trainer, trainer.get_dataloaders()[0]


def loss_alone(trainer, logits, target) -> None:
    scales = logits if isinstance(logits, list) else [logits]
    leaves = [scale.detach().requires_grad_() for scale in scales]
    trainer.loss(leaves if isinstance(logits, list) else leaves[0], target).backward()


def measure(recipe: str, batches: int, folder: str) -> dict[str, float]:
    """Medians in ms."""
    import torch

    from nnunetv2_sizepenalty.losses import TargetLayout
    from nnunetv2_sizepenalty.trainers.cells import AppendCells

    trainers = {
        kind: make_trainer(f"nnUNetTrainerDTS{recipe}{modifier}_seed0", folder)
        for kind, modifier in (("S", ""), ("per lesion", "_perlesion"))
    }
    append = AppendCells(TargetLayout(2, False, with_cells=True), trainers["S"][0].configuration_manager.spacing)
    values: dict[str, list[float]] = {}
    several, patches = 0, 0

    def note(key: str, value: float) -> None:
        values.setdefault(key, []).append(1000 * value)

    for _ in range(batches):
        for kind, (trainer, loader) in trainers.items():
            made_s, batch = seconds(next, loader)
            with torch.no_grad():
                logits = trainer.network(batch["data"])
            note(f"loss, {kind}", seconds(loss_alone, trainer, logits, batch["target"])[0])
            note(f"step, {kind}", seconds(trainer.optimise, batch)[0])
            note(f"batch, {kind}", made_s)
            finest = batch["target"][0] if isinstance(batch["target"], list) else batch["target"]
            if kind == "S":
                note("cells", sum(seconds(lambda sample: append(segmentation=sample), sample)[0] for sample in finest))
            else:
                several += int((finest[:, 1].amax((1, 2, 3)) > 1).sum())
                patches += len(finest)
    medians = {key: median(each[2:]) for key, each in values.items()}
    share = (medians["loss, per lesion"] - medians["loss, S"] + medians["cells"]) / medians["step, S"]
    return medians | {"share of a step, %": 100 * share, "patches with several lesions, %": 100 * several / patches}


def speed(arguments: argparse.Namespace) -> None:
    demo = Demo(arguments.folder.resolve())
    if not Path(demo.nnunet["nnUNet_preprocessed"]).exists():
        demo.folder.mkdir(parents=True, exist_ok=True)
        demo.prepare()
    with tempfile.TemporaryDirectory() as results:
        # nnU-Net reads them when it is imported
        os.environ.update(demo.nnunet, nnUNet_results=results, nnUNet_n_proc_DA="0")
        table = {name: measure(recipe, arguments.batches, results) for name, recipe in RECIPES.items()}
    print("| median, ms | " + " | ".join(f"{name} recipe" for name in table) + " |")
    print("|---" * (1 + len(table)) + "|")
    for key in next(iter(table.values())):
        print(f"| {key} | " + " | ".join(f"{values[key]:.3g}" for values in table.values()) + " |")


def at_2_mm(mask: np.ndarray) -> np.ndarray:
    """At least half of the eight voxels."""
    even = mask[tuple(slice(side // 2 * 2) for side in mask.shape)]
    depth, height, width = (side // 2 for side in even.shape)
    return even.reshape(depth, 2, height, 2, width, 2).mean((1, 3, 5)) >= 0.5


def small_lesions(mask: np.ndarray) -> list[tuple[int, int]]:
    """V_g of the patch around each lesion under 1 mL, and V_k of the lesion in it."""
    labels, n = label_components(mask)
    found = []
    for lesion in np.flatnonzero(component_voxels(labels, n) < voxels_from_ml(1, SPACING_MM)) + 1:
        middle = np.argwhere(labels == lesion).mean(0)
        corner = [
            int(np.clip(round(at) - side // 2, 0, max(0, whole - side)))
            for at, side, whole in zip(middle, PATCH, mask.shape, strict=True)
        ]
        patch = labels[tuple(slice(at, at + side) for at, side in zip(corner, PATCH, strict=True))]
        found.append(((patch > 0).sum(), (patch == lesion).sum()))
    return found


def weights(arguments: argparse.Namespace) -> None:
    archive = np.load(arguments.masks)
    shape = tuple(archive["shape"])
    lesions = []
    for case in archive.files:
        if case != "shape":
            mask = np.unpackbits(archive[case], count=int(np.prod(shape))).reshape(shape).transpose()
            lesions += small_lesions(at_2_mm(mask))
    of_patch, of_lesion = np.exp(-np.transpose(lesions) / arguments.tau)
    print(f"{len(lesions)} lesions under 1 mL in {len(archive.files) - 1} masks")
    print(f"median weight: {np.median(of_patch):.3f} by the patch, {np.median(of_lesion):.3f} by the lesion")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(required=True)
    part = parts.add_parser("speed")
    part.add_argument("folder", type=Path)
    part.add_argument("--batches", type=int, default=60)
    part.set_defaults(run=speed)
    part = parts.add_parser("weights")
    part.add_argument("masks", type=Path)
    part.add_argument("--tau", type=float, default=600.0)
    part.set_defaults(run=weights)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
