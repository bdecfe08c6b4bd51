"""`finetune`: another trainer goes on from a model's weights, heads included, and refuses what doesn't fit."""

import json
import shutil
import signal
import subprocess

import pytest
import torch
from nnunet_commands import TinyDataset, script
from trainings import train_to_the_end, wait_for_text

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.trainers.finetune import SOURCE, refuse_other_network
from nnunetv2_sizepenalty.trainers.finetune_model import finetuning_name
from nnunetv2_sizepenalty.trainers.names import parse

SOURCE_TRAINER = "nnUNetTrainerDT_1epochs_seed1"
TRAINER = "nnUNetTrainerDK_sizeweight4_finetune_2epochs_seed1"


def test_the_name_is_completed_in_its_place():
    assert finetuning_name("nnUNetTrainerDK_sizeweight4_2epochs_seed1") == finetuning_name(TRAINER) == TRAINER
    with pytest.raises(UserError, match="is not a name of ours"):
        finetuning_name("nnUNetTrainerDT_sizeweight4")


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("nnUNetTrainerDK_nnUNet_finetune", 0.001),
        ("nnUNetTrainerDK_finetune", 3e-5),
        ("nnUNetTrainerDK_nnUNet_lr0p003_finetune", 0.003),
        ("nnUNetTrainerDK_nnUNet_lr0p003", 0.003),
        ("nnUNetTrainerDK_nnUNet", 0.01),
    ],
)
def test_a_tenth_of_the_rate_unless_the_name_says_otherwise(name, rate):
    from nnunetv2_sizepenalty.trainers.factory import trainer_class

    trainer = trainer_class(name)
    recipe = 0.01 if "recipe" in parse(name).values else trainer.max_learning_rate
    assert trainer.first_rate(trainer, recipe) == pytest.approx(rate)


def test_another_network_is_refused():
    own = {"a": torch.zeros(2), "b": torch.zeros(3)}
    refuse_other_network("file", {"module.a": torch.ones(2), "module.b": torch.ones(3)}, own)
    for other in ({"a": torch.zeros(2)}, {"a": torch.zeros(2), "b": torch.zeros(4)}, {**own, "c": torch.zeros(1)}):
        with pytest.raises(UserError, match="another network: 1 of 2 parameters"):
            refuse_other_network("file", other, own)


def finetune(tiny: TinyDataset, *options: object) -> subprocess.Popen:
    log = tiny.workspace.folder / "finetune.log"
    words = ["finetune", tiny.results(SOURCE_TRAINER), "-f", 0, "-device", "cpu", *options]
    return subprocess.Popen(
        [script("nnUNetv2_sizepenalty"), *map(str, words)],
        env=tiny.workspace.environment,
        stdout=log.open("w"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


@pytest.mark.integration
def test_from_the_weights_of_a_model_stopped_and_continued(tiny_dataset):
    tiny, log = tiny_dataset, tiny_dataset.workspace.folder / "finetune.log"
    train_to_the_end(tiny, SOURCE_TRAINER)
    source = tiny.results(SOURCE_TRAINER) / "fold_0" / "checkpoint_final.pth"

    # a network that is not the model's, and a fold that was not trained: one line, nothing written
    for options, says in (
        (("-tr", "nnUNetTrainerDK_nnUNet_1epochs"), "is of another network"),
        (("-tr", TRAINER, "-f", 1), "is missing"),
        (("-tr", "nnUNetTrainerXY"), "is not a name of ours"),
    ):
        assert finetune(tiny, *options).wait() == 2
        text = log.read_text()
        assert says in text
        assert text.count("\n") == 1
    dataset_file = tiny.workspace.folder / "nnUNet_preprocessed" / tiny.name / "dataset.json"
    whole = dataset_file.read_text()
    dataset_file.write_text(json.dumps(json.loads(whole) | {"labels": {"background": 0, "tumour": 1}}))
    assert finetune(tiny, "-tr", TRAINER).wait() == 2
    assert "channels and classes that it knows" in log.read_text()
    dataset_file.write_text(whole)
    assert not tiny.results(TRAINER).exists()

    # its own name without the command that names a source
    process = subprocess.run(
        [script("nnUNetv2_train"), tiny.id, "3d_fullres", "0", "-tr", TRAINER, "-p", tiny.plans, "-device", "cpu"],
        env=tiny.workspace.environment,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 2
    assert "is trained by `nnUNetv2_sizepenalty finetune`" in process.stderr
    shutil.rmtree(tiny.results(TRAINER))

    process = finetune(tiny, "-tr", TRAINER)
    wait_for_text(process, "Epoch 1", log)
    assert f"Weights of all layers, heads included, from {source.resolve()}" in log.read_text()
    subprocess.run(["pkill", "-TERM", "-f", f"nnUNetv2_train.*{TRAINER}"], check=True)
    assert process.wait(timeout=120) == 2
    assert f"nnUNetv2_train ended with {128 + signal.SIGTERM}" in log.read_text()
    process = finetune(tiny, "-tr", TRAINER)
    assert process.wait() == 0, log.read_text()[-3000:]
    text = log.read_text()
    assert "Weights of all layers" not in text
    assert f"next: nnUNetv2_sizepenalty threshold {tiny.results(TRAINER)}" in text

    fold = tiny.results(TRAINER) / "fold_0"
    assert json.loads((fold / SOURCE).read_text()) == {"checkpoint": str(source.resolve())}
    final = torch.load(fold / "checkpoint_final.pth", weights_only=False)
    assert final["init_args"]["size_penalty"]["settings"]["learning_rate"] == pytest.approx(3e-5)
    before = torch.load(source, weights_only=False)["network_weights"]
    # two epochs at a tenth of the rate stay near the weights that they started from
    for name, weights in final["network_weights"].items():
        moved, size = (weights - before[name]).float().norm(), before[name].float().norm()
        assert moved < 0.2 * size + 0.1, name
    assert any((weights != before[name]).any() for name, weights in final["network_weights"].items())
    assert list((fold / "validation").glob("*.npz"))

    # once more: nothing is left to do
    assert finetune(tiny, "-tr", TRAINER).wait() == 0
    assert "fold 0 is finished" in log.read_text()
