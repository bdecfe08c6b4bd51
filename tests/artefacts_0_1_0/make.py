"""Makes the artefacts beside this file with version 0.1.0: `make.py CHECKOUT`, by a Python that has 0.1.0 installed.

CHECKOUT is a checkout of that version: its tests' own helpers make the tiny dataset and stop the trainings.
"""

import json
import shutil
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = Path(sys.argv[1]).resolve()
sys.path.insert(0, str(CHECKOUT / "tests"))

import conftest  # noqa: E402
import torch  # noqa: E402
import trainings  # noqa: E402
from nnunet_commands import FOLDERS, TinyDataset, Workspace  # noqa: E402

STOPPED_ONCE = "nnUNetTrainerDTS_2epochs_seed1"
STOPPED_TWICE = "nnUNetTrainerDCS_nnUNet_perlesion_2epochs_seed1"
GOOD, BAD = "nnUNetTrainerDC_nnUNet_10epochs_seed1", "nnUNetTrainerDC_nnUNet_6epochs_seed2"
CASES = [f"sub-strokecase000{number}_ses-0001" for number in range(1, 6)]
TRAINED_ON = (CASES[1], CASES[3])
MODEL_FILES = ("dataset.json", "plans.json")
SIGTERM = 128 + 15


def stop(tiny: TinyDataset, trainer: str, text: str, seconds: float, *options: str) -> int:
    """Trains until `text` is logged and `seconds` more, then SIGTERM; returns the iterations that are saved."""
    process, log = trainings.start_training(tiny, trainer, *options)
    trainings.wait_for_text(process, text, log)
    time.sleep(seconds)
    process.terminate()
    assert process.wait(timeout=120) == SIGTERM, log.read_text()[-3000:]
    return torch.load(latest(tiny, trainer), weights_only=False)["init_args"]["size_penalty"]["iteration"]


def latest(tiny: TinyDataset, trainer: str) -> Path:
    return tiny.results(trainer) / "fold_0" / "checkpoint_latest.pth"


def uninterrupted(tiny: TinyDataset, trainer: str) -> dict[str, list[float]]:
    """What an uninterrupted run logs each epoch."""
    trainings.train_to_the_end(tiny, trainer)
    logged = torch.load(tiny.results(trainer) / "fold_0" / "checkpoint_final.pth", weights_only=False)["logging"]
    shutil.rmtree(tiny.results(trainer))
    return {key: [float(value) for value in logged[key]] for key in ("lrs", "train_losses", "val_losses")}


def store(source: Path, target: Path, *patterns: str) -> None:
    """Copies the files below `source` that match, folders kept."""
    for file in sorted(path for pattern in patterns for path in source.glob(pattern)):
        copy = target / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)


def stopped_trainings(tiny: TinyDataset) -> None:
    expected = {trainer: uninterrupted(tiny, trainer) for trainer in (STOPPED_ONCE, STOPPED_TWICE)}
    done = stop(tiny, STOPPED_ONCE, "Epoch 1", 0.6)
    assert 2 < done < 18, done
    first = stop(tiny, STOPPED_TWICE, "Epoch 1", 1.5)
    second = stop(tiny, STOPPED_TWICE, "Continuing this epoch after", 1.5, "--c")
    assert 10 < first < second - 10 < 230, (first, second)
    for trainer in (STOPPED_ONCE, STOPPED_TWICE):
        source = tiny.results(trainer)
        patterns = (*MODEL_FILES, "fold_0/checkpoint_latest.pth", "fold_0/debug.json", "fold_0/*.txt")
        store(source, HERE / "stopped" / source.name, *patterns)
    (HERE / "stopped" / "uninterrupted.json").write_text(json.dumps(expected, indent=1) + "\n")


def finished_models(tiny: TinyDataset) -> None:
    folder, run = tiny.workspace.folder, tiny.workspace.run
    preprocessed = folder / "nnUNet_preprocessed" / tiny.name
    validated_on = [case for case in CASES if case not in TRAINED_ON]
    (preprocessed / "splits_final.json").write_text(json.dumps([{"train": TRAINED_ON, "val": validated_on}]))
    store(preprocessed.parent, HERE / "nnUNet_preprocessed", "*/splits_final.json", "*/gt_segmentations/*")

    references = folder / "nnUNet_raw" / tiny.name / "labelsTr"
    for name, trainer in (("good", GOOD), ("bad", BAD)):
        trainings.train_to_the_end(tiny, trainer, "--npz")
        which = ("-d", tiny.id, "-c", "3d_fullres", "-tr", trainer, "-p", tiny.plans, "-f", 0, "-device", "cpu")
        images = folder / "nnUNet_raw" / tiny.name / "imagesTr"
        probabilities = folder / f"probabilities_{name}"
        run(
            "nnUNetv2_predict",
            *("-i", images, "-o", probabilities, *which, "-npp", 1, "-nps", 1, "--save_probabilities"),
        )
        froc = folder / f"froc_{name}"
        run("nnUNetv2_sizepenalty", "froc", "-ref", references, "-probabilities", probabilities, "-o", froc, "-np", 1)


def what_follows(tiny: TinyDataset) -> None:
    """Threshold, apply, bake, evaluate and compare."""
    folder, run = tiny.workspace.folder, tiny.workspace.run
    references = folder / "nnUNet_raw" / tiny.name / "labelsTr"
    model = tiny.results(GOOD)
    point = model / "operating_point" / "operating_point.json"
    run("nnUNetv2_sizepenalty", "threshold", model, "--thresholds", "dense", "--min-voxels", 5, "-np", 1)
    patterns = ("fold_0/checkpoint_final.pth", "fold_0/debug.json", "fold_0/validation/*.npz")
    patterns = (*MODEL_FILES, *patterns, "fold_0/validation/summary.json", "operating_point/**/*.[jn][sp]*")
    store(model, HERE / "nnUNet_results" / tiny.name / model.name, *patterns)

    applied = folder / "applied"
    saved = folder / "probabilities_good"
    run("nnUNetv2_sizepenalty", "apply", "-i", saved, "-o", applied, "--operating-point", point, "-np", 1)
    # those of the other cases equal the .npz of the validation
    store(saved, HERE / "probabilities", *MODEL_FILES, "*.pkl", *(f"{case}.npz" for case in TRAINED_ON))
    store(applied, HERE / "applied", "*.nii.gz")
    store(folder / "probabilities_bad", HERE / "predicted_bad", "*.nii.gz")

    baked = folder / "baked__TinyPlans__3d_fullres"
    run("nnUNetv2_sizepenalty", "bake", model, "--operating-point", point, "-o", baked)
    store(baked, HERE / "baked", "fold_0/checkpoint_final.pth", "*/postprocessing.pkl")

    evaluated = []
    for name, masks in (("good", applied), ("bad", folder / "probabilities_bad")):
        out, froc = folder / f"evaluation_{name}", folder / f"froc_{name}"
        run(
            "nnUNetv2_sizepenalty",
            *("evaluate", "-ref", references, "-pred", masks, "-o", out, "--froc", froc, "-np", 1),
            *("-djfile", folder / "nnUNet_raw" / tiny.name / "dataset.json"),
        )
        store(out, HERE / out.name, "*.csv", "*.json")
        store(froc, HERE / froc.name, "*.csv", "*.json")
        evaluated.append(f"{name}={out}")
    frocs = [text.replace("evaluation_", "froc_") for text in evaluated]
    comparison = folder / "comparison"
    run("nnUNetv2_sizepenalty", "compare", *evaluated[::-1], "-o", comparison, "--froc", *frocs[::-1])
    store(comparison, HERE / "comparison", "*.csv")


if __name__ == "__main__":
    assert version("nnunetv2_sizepenalty") == "0.1.0"
    folder = Path(tempfile.gettempdir()) / "made_with_0.1.0"  # its path is in some of the files
    shutil.rmtree(folder, ignore_errors=True)
    for stored in HERE.iterdir():
        if stored.is_dir():
            shutil.rmtree(stored)
    for name in FOLDERS:
        (folder / name).mkdir(parents=True)
    fixture = conftest.tiny_dataset
    make = getattr(fixture, "_get_wrapped_function", lambda: fixture.__wrapped__)()
    tiny = make(Workspace(folder))
    stopped_trainings(tiny)
    finished_models(tiny)
    what_follows(tiny)
