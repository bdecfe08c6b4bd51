"""`_nnUNet` trainers against nnU-Net's own: the same loss and gradient on identical weights and batch."""

import numpy as np
import pytest
import torch

pytestmark = pytest.mark.integration


@pytest.fixture
def trainer_of(tiny_dataset, monkeypatch):
    """Makes an initialised trainer of the tiny dataset, in this process."""
    from nnunetv2.run.run_training import get_trainer_from_args

    for name, value in tiny_dataset.workspace.environment.items():
        monkeypatch.setenv(name, value)

    def make(name):
        trainer = get_trainer_from_args(
            tiny_dataset.id, "3d_fullres", 0, name, tiny_dataset.plans, device=torch.device("cpu")
        )
        trainer.initialize()
        return trainer

    return make


def loss_and_gradient(trainer, batch):
    trainer.network.train()
    trainer.network.zero_grad()
    loss = trainer.loss(trainer.network(batch["data"]), batch["target"])
    loss.backward()
    return loss.item(), {name: value.grad for name, value in trainer.network.named_parameters()}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("nnUNetTrainerDC_nnUNet", "nnUNetTrainer"), ("nnUNetTrainerDK_nnUNet", "nnUNetTrainerDiceTopK10Loss")],
)
def test_same_loss_up_to_dices_constant_and_same_gradient(trainer_of, ours, theirs):
    ours, theirs = trainer_of(ours), trainer_of(theirs)
    ours.network.load_state_dict(theirs.network.state_dict())
    assert (ours.num_epochs, ours.num_iterations_per_epoch, ours.initial_lr) == (1000, 250, 1e-2)
    batch = next(theirs.get_dataloaders()[0])
    assert sum(int((target > 0).sum()) for target in batch["target"]) > 0

    loss, gradient = loss_and_gradient(ours, batch)
    expected_loss, expected_gradient = loss_and_gradient(theirs, batch)
    assert loss == pytest.approx(expected_loss + 1, abs=1e-5)
    # biases in front of a normalisation have gradient 0 up to rounding: the whole gradient sets the scale
    scale = max(value.abs().max().item() for value in expected_gradient.values() if value is not None)
    for name, expected in expected_gradient.items():
        if expected is None:
            assert gradient[name] is None
        else:
            torch.testing.assert_close(gradient[name], expected, rtol=1e-4, atol=1e-5 * scale)


def test_ten_patches_per_case_and_epoch(trainer_of):
    trainer = trainer_of("nnUNetTrainerDTS")
    train, validation = trainer.do_split()
    assert trainer.num_iterations_per_epoch * trainer.batch_size == 10 * len(train)
    assert trainer.num_val_iterations_per_epoch * trainer.batch_size == 10 * len(validation)
    assert (trainer.num_epochs, trainer.enable_deep_supervision) == (400, False)


def test_mismatch_is_recomputed_in_training_and_validation(trainer_of):
    trainer = trainer_of("nnUNetTrainerDTS_seed0")
    for loader in trainer.get_dataloaders():
        for _ in range(3):
            adc, dwi, mismatch = next(loader)["data"].numpy().transpose(1, 0, 2, 3, 4)
            np.testing.assert_allclose(mismatch, dwi * (1 - np.clip(adc, 0, 1)), atol=1e-6)


def outputs(true_positives, false_positives, false_negatives):
    counts = {"tp_hard": true_positives, "fp_hard": false_positives, "fn_hard": false_negatives}
    return [{"loss": np.float32(1), **{key: np.array([value]) for key, value in counts.items()}}]


def log_of(trainer):
    with open(trainer.log_file) as file:  # noqa: PTH123
        return file.read()


def test_log_says_when_all_validation_patches_are_predicted_empty(trainer_of):
    trainer = trainer_of("nnUNetTrainerDTS")
    trainer.on_validation_epoch_end(outputs(3, 0, 7))
    assert "predicted empty" not in log_of(trainer)
    trainer.current_epoch = 1
    trainer.on_validation_epoch_end(outputs(0, 0, 7))
    assert "All validation patches are predicted empty." in log_of(trainer)


def test_an_undefined_pseudo_dice_does_not_freeze_the_moving_average(trainer_of):
    trainer = trainer_of("nnUNetTrainerDTS")
    with np.errstate(invalid="ignore"):
        for epoch, counts in enumerate([(0, 0, 0), (4, 2, 2), (0, 0, 0), (4, 2, 2)]):
            trainer.current_epoch = epoch
            trainer.on_validation_epoch_end(outputs(*counts))
    averages = trainer.logger.get_value("ema_fg_dice", step=None)
    dice = 8 / 12
    first = 0.1 * dice
    assert averages == pytest.approx([0, first, first, 0.9 * first + 0.1 * dice])
