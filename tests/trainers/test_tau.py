"""`_tauAuto` and `_tau2ml` through real trainers, and `_lesionuniform` in their loaders."""

import json
import subprocess
import sys
from pathlib import Path

import data_ddp_worker
import numpy as np
import pytest
import torch
from preprocessed_masks import blobs, preprocess_masks

from nnunetv2_sizepenalty.lesions import label_components
from nnunetv2_sizepenalty.nnunet_io.classes import labels_of
from nnunetv2_sizepenalty.sampling.choose_tau import median_tau, volumes_in_patches
from nnunetv2_sizepenalty.sampling.lesion_locations import FOLDER
from nnunetv2_sizepenalty.trainers.lesion_sampling import LesionUniformDataset

pytestmark = [
    pytest.mark.integration,
    # workers that are stopped in the middle of a batch
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]

RECIPES = {"thesis": "nnUNetTrainerDTS", "nnUNet": "nnUNetTrainerDTS_nnUNet"}


@pytest.fixture
def data(make, tmp_path):
    """Makes a trainer of a copy of the tiny dataset's masks, changed by `change(case, labels)`, without images."""

    def make_trainer(name, change=lambda case, labels: labels, **options):
        trainer = make(name, **options)
        source = trainer.dataset_class(trainer.preprocessed_dataset_folder, None)
        masks = {case: change(case, np.asarray(source.load_case(case)[1][0]).clip(0)) for case in source.identifiers}
        folder = tmp_path / f"data{len(list(tmp_path.iterdir()))}"
        preprocess_masks(folder, masks, trainer.label_manager)
        trainer.preprocessed_dataset_folder = str(folder)
        return trainer

    return make_trainer


def estimated(trainer):
    trainer._estimate_tau()
    return trainer.size_term.tau


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("modifier", ["tauAuto", "lesionuniform_tauAuto"])
def test_tau_is_the_median_of_the_recipes_patches(data, recipe, modifier):
    trainer = data(f"{RECIPES[recipe]}_{modifier}")
    tau = estimated(trainer)
    dataset, _ = trainer.get_tr_and_val_datasets()
    assert isinstance(dataset, LesionUniformDataset) == ("lesion" in modifier)
    kinds = trainer.patch_kinds(trainer.configuration_manager)
    expected = volumes_in_patches(dataset, kinds, trainer.label_manager, trainer.configuration_manager.batch_size)
    assert tau == median_tau(expected)
    assert trainer.loss.size_term.tau == trainer.settings["tau_voxels"] == tau


def test_tau_per_lesion_is_the_median_lesion(data):
    trainer = data("nnUNetTrainerDTS_perlesion_tauAuto")
    sizes = []
    for case in trainer.do_split()[0]:
        labels, n = label_components(np.asarray(trainer.get_tr_and_val_datasets()[0].load_case(case)[1][0]))
        sizes += list(np.bincount(labels.ravel(), minlength=n + 1)[1:])
    assert estimated(trainer) == round(np.median(sizes))


@pytest.mark.parametrize("modifier", ["tauAuto", "perlesion_tauAuto", "lesionuniform_tauAuto"])
def test_validation_cases_have_no_part_in_tau(data, modifier):
    trainer = data(f"nnUNetTrainerDTS_{modifier}")
    training, validation = trainer.do_split()

    def full(cases):
        return lambda case, labels: np.ones_like(labels) if case in cases else labels

    tau = estimated(trainer)
    assert estimated(data(f"nnUNetTrainerDTS_{modifier}", full(validation))) == tau
    assert estimated(data(f"nnUNetTrainerDTS_{modifier}", full(training))) != tau


def test_tau_in_ml_is_converted_with_the_plans_spacing(make):
    trainer = make("nnUNetTrainerDTS_tau2ml")
    expected = 2000 / np.prod(trainer.configuration_manager.spacing)
    assert (
        trainer.size_term.tau == trainer.settings["tau_voxels"] == trainer.loss.size_term.tau == pytest.approx(expected)
    )


@pytest.mark.parametrize("modifier", ["tau2ml", "gate5ml", "gatePred5ml", "hardgate5ml"])
def test_ml_of_pixels_are_refused_in_one_line(make, monkeypatch, capsys, modifier):
    from nnunetv2_sizepenalty.trainers import find_trainer

    trainer = make("nnUNetTrainerDTS_seed1")
    plans = json.loads(json.dumps(trainer.plans_manager.plans)) | {"continue_training": False}
    plans["configurations"]["3d_fullres"]["spacing"] = [999, 1, 1]
    pixels = find_trainer(f"nnUNetTrainerDTS_{modifier}")(
        plans, "3d_fullres", 0, trainer.dataset_json, torch.device("cpu")
    )
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        pixels.initialize()
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{modifier}: {2 if modifier == 'tau2ml' else 5} mL" in line
    assert "_tau300" in line


def test_a_continued_run_keeps_the_tau_that_it_started_with(make, tmp_path):
    name = "nnUNetTrainerDTS_tauAuto_2epochs"
    trainer = make(name)
    trainer.current_epoch = 0
    trainer.use_tau(321.0)
    trainer.save_checkpoint(str(tmp_path / "checkpoint.pth"))
    continued = make(name, continued=True)
    continued.load_checkpoint(str(tmp_path / "checkpoint.pth"))
    continued.on_train_start()
    assert continued.size_term.tau == continued.loss.size_term.tau == 321


def take(loader, n):
    batches = [next(loader) for _ in range(n)]
    if hasattr(loader, "_finish"):
        loader._finish()
    return batches


@pytest.mark.parametrize("recipe", RECIPES)
def test_loaders_draw_lesions_uniformly_with_any_number_of_workers(make, recipe):
    name = f"{RECIPES[recipe]}_lesionuniform_seed3"
    runs = [take(make(name, workers=workers).get_dataloaders()[0], 6) for workers in (0, 2)]
    for batch, expected in zip(*runs, strict=True):
        torch.testing.assert_close(batch["data"], expected["data"], rtol=0, atol=0)
    trainer = make(name)
    loaders = trainer.get_dataloaders()
    for augmenter in loaders:
        made = augmenter.data_loader
        sources = [made.loader._data, *([made.small._data] if recipe == "thesis" else [])]
        assert all(isinstance(source, LesionUniformDataset) for source in sources)
    assert Path(trainer.log_file).read_text().count("Forced patches hold one of") == 1 + 2
    assert (Path(trainer.preprocessed_dataset_folder) / FOLDER).is_dir()


def test_unseeded_loaders_of_nnunets_recipe(make):
    train, validation = make("nnUNetTrainerDTS_nnUNet_lesionuniform").get_dataloaders()
    assert all(isinstance(loader.data_loader._data, LesionUniformDataset) for loader in (train, validation))
    assert {batch["data"].shape[0] for batch in take(train, 2)} == {2}


@pytest.mark.parametrize("recipe", RECIPES)
def test_patches_that_tau_is_taken_from_are_those_of_the_loaders(make, recipe):
    trainer = make(RECIPES[recipe])
    kinds = trainer.patch_kinds(trainer.configuration_manager)
    loader = trainer.get_dataloaders()[0].data_loader
    loaders = [loader] if recipe == "nnUNet" else [loader.loader, loader.small]
    for kind, its in zip(kinds, loaders, strict=True):
        assert kind.size == tuple(its.final_patch_size)
        assert kind.foreground == its.oversample_foreground_percent
        assert kind.probabilistic == (its.get_do_oversample == its._probabilistic_oversampling)
    assert len(labels_of(trainer.label_manager).channels) == 1
    small = [] if recipe == "nnUNet" else [loader.sampler.small_probability]
    assert [kind.probability for kind in kinds[1:]] == small


def test_all_processes_train_with_the_first_ones_tau_and_lesions(tmp_path):
    preprocess_masks(tmp_path / "data", {f"case{n}": blobs(n) for n in range(3)})
    command = (sys.executable, data_ddp_worker.__file__)
    arguments = (str(tmp_path / "rendezvous"), str(tmp_path / "data"))
    processes = [
        subprocess.Popen([*command, str(rank), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(error for _, error in outputs)
    first, second = (json.loads(output.splitlines()[-1]) for output, _ in outputs)
    assert first == second
    assert first["tau"] > 0
    assert first["empty"] == [True, False, False]


def train(tiny, trainer):
    """Two epochs with nnU-Net's command; returns the settings in the checkpoint and the log."""
    tiny.workspace.run("nnUNetv2_train", tiny.id, "3d_fullres", 0, "-tr", trainer, "-p", tiny.plans, "-device", "cpu")
    fold = tiny.results(trainer) / "fold_0"
    saved = torch.load(fold / "checkpoint_final.pth", weights_only=False)["init_args"]["size_penalty"]["settings"]
    assert saved["sampling"] == "lesionuniform"
    (log,) = fold.glob("training_log_*.txt")
    assert "lesions, drawn uniformly within its case" in log.read_text()
    return saved, log.read_text()


def test_tau_from_the_shell_is_the_one_that_a_training_takes(tiny_dataset, tmp_path):
    tiny, trainer = tiny_dataset, "nnUNetTrainerDTS_lesionuniform_shifted_positive0p66_tauAuto_2epochs"
    figure, numbers = tmp_path / "tau.svg", tmp_path / "tau.json"
    told = tiny.workspace.run(
        "nnUNetv2_sizepenalty",
        *("tau", "-d", tiny.id, "-p", tiny.plans, "-f", 0, "-tr", trainer, "-o", figure, numbers),
    )
    suggested = json.loads(numbers.read_text())["suggested"]
    assert f"Suggested: {suggested['modifier']} (" in told.stdout
    assert figure.read_bytes().startswith(b"<?xml")
    saved, log = train(tiny, trainer)
    assert saved["tau_voxels"] == suggested["tau"] != 600
    assert f"tau is {suggested['tau']:g} voxels, the median of " in log
    debug = json.loads((tiny.results(trainer) / "fold_0" / "debug.json").read_text())
    assert debug["tau"] == str(saved["tau_voxels"])


def test_lesions_drawn_uniformly_under_nnunets_recipe(tiny_dataset):
    train(tiny_dataset, "nnUNetTrainerDTS_nnUNet_lesionuniform_2epochs")
