"""The recipe through real trainers in this process: batches, learning rates, interruption, training log."""

import json
import math
import signal
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import OneCycleLR

pytestmark = [
    pytest.mark.integration,
    # workers that are stopped in the middle of a batch
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]

LARGE, SMALL = (8, 16, 16), (8, 8, 8)


def take(loader, n):
    batches = [next(loader) for _ in range(n)]
    if hasattr(loader, "_finish"):
        loader._finish()
    return batches


def test_first_ten_batches_of_two_runs_with_one_seed(make):
    runs = [take(make("nnUNetTrainerDTS_seed5", workers=workers).get_dataloaders()[0], 10) for workers in (0, 0, 2, 2)]
    assert {tuple(batch["data"].shape[2:]) for batch in runs[0]} == {LARGE, SMALL}
    for run in runs[1:]:
        for batch, expected in zip(run, runs[0], strict=True):
            torch.testing.assert_close(batch["data"], expected["data"], rtol=0, atol=0)
            torch.testing.assert_close(batch["target"], expected["target"], rtol=0, atol=0)
            assert batch["keys"] == expected["keys"]


@pytest.mark.parametrize("name", ["nnUNetTrainerDTS_seed1", "nnUNetTrainerDTS_nnUNetDA_seed1"])
def test_an_epoch_of_batches(make, name):
    trainer = make(name)
    train, validation = trainer.get_dataloaders()
    for loader, n, cases in zip(
        (train, validation),
        (trainer.num_iterations_per_epoch, trainer.num_val_iterations_per_epoch),
        trainer.do_split(),
        strict=True,
    ):
        batches = take(loader, 2 * n)
        for epoch in (batches[:n], batches[n:]):
            assert Counter(key for batch in epoch for key in batch["keys"]) == dict.fromkeys(cases, 10)
        for batch in batches:
            adc, dwi, mismatch = batch["data"].numpy().transpose(1, 0, 2, 3, 4)
            np.testing.assert_allclose(mismatch, dwi * (1 - np.clip(adc, 0, 1)), atol=1e-6)
            assert set(batch["target"].unique().tolist()) <= {0, 1}
        assert {tuple(batch["data"].shape[2:]) for batch in batches} == {LARGE, SMALL}


def test_a_plan_without_small_patches_says_so(make, tiny_dataset):
    trainer = make("nnUNetTrainerDTS_seed1", plans=tiny_dataset.plans)
    batches = take(trainer.get_dataloaders()[0], 10)
    assert {tuple(batch["data"].shape[2:]) for batch in batches} == {LARGE}
    assert "-p nnUNetSizePenaltyPlans" in Path(trainer.log_file).read_text()


@pytest.mark.parametrize(
    ("patch_size", "dummy_2d", "cut"),
    [((32, 128, 128), True, (32, 160, 160)), ((32, 64, 64), False, (40, 80, 80))],
    ids=["large", "small"],
)
def test_each_patch_size_is_deformed_in_its_own_way(make, patch_size, dummy_2d, cut):
    trainer = make("nnUNetTrainerDTS")
    trainer.configuration_manager.configuration["patch_size"] = list(patch_size)
    _, is_dummy_2d, initial, axes = trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
    assert (is_dummy_2d, tuple(initial), axes) == (dummy_2d, cut, (0, 1, 2))


def follow_learning_rate(trainer, stop_at=None):
    """Lists the learning rate of each step; after (epoch, steps) the job is told to end."""
    rates, optimise = [], trainer.optimise

    def followed(batch):
        rates.append(trainer.optimizer.param_groups[0]["lr"])
        if (trainer.current_epoch, trainer.progress.iteration + 1) == stop_at:
            signal.raise_signal(signal.SIGTERM)
        return optimise(batch)

    trainer.optimise = followed
    return rates


def expected_rates(epochs, iterations):
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], 3e-4)
    schedule = OneCycleLR(
        optimizer, 3e-4, total_steps=epochs * iterations, pct_start=0.2, div_factor=25, final_div_factor=1000
    )
    rates = []
    for step in range(epochs * iterations):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step + 1 < epochs * iterations:
            schedule.step()
    return rates


def test_an_interrupted_run_ends_as_if_it_had_not_been(make, tmp_path):
    name = "nnUNetTrainerDTS_2epochs_seed4"
    trainer = make(name, "whole")
    rates = follow_learning_rate(trainer)
    trainer.run_training()
    iterations = trainer.num_iterations_per_epoch
    assert rates == expected_rates(2, iterations)

    generator = np.random.default_rng()
    stops = sorted(generator.choice(2 * iterations, generator.integers(1, 6), replace=False))
    found, continued = [], make(name, "interrupted")
    for stop in stops:
        after = follow_learning_rate(continued, stop_at=(stop // iterations, stop % iterations + 1))
        with pytest.raises(SystemExit) as end:
            continued.run_training()
        assert end.value.code == 128 + signal.SIGTERM
        found += after
        continued = make(name, "interrupted", continued=True)
        continued.load_checkpoint(str(tmp_path / "interrupted" / "checkpoint_latest.pth"))
    after = follow_learning_rate(continued)
    continued.run_training()
    assert found + after == rates, stops
    expected = trainer.network.state_dict()
    for key, value in continued.network.state_dict().items():
        assert torch.equal(value, expected[key]), (key, stops)
    logs = [t.logger.local_logger.my_fantastic_logging for t in (trainer, continued)]
    assert {len(values) for log in logs for values in log.values()} == {2}
    for key in {*trainer.measures.keys, "train_losses", "val_losses"} - {"data_wait_s"}:
        np.testing.assert_allclose(*(log[key] for log in logs), rtol=1e-6, err_msg=key)

    # what the run leaves behind
    log = logs[0]
    assert all(math.isfinite(log[key][0]) for key in ("train_terms/S", "val_terms/S", "gradient_ratio", "data_wait_s"))
    for key in ("lesion_positive", "saturated", "clipped"):
        assert 0 <= log[key][0] <= 1
    assert np.dot(list(trainer.loss.weights.values()), [log[f"train_terms/{letter}"][0] for letter in "DTS"]) == (
        pytest.approx(log["train_losses"][0], rel=1e-5)
    )
    text = Path(trainer.log_file).read_text()
    for expected_text in ("Terms, training / validation: D ", "Waited for data: ", "-step_size 0.5", "-step_size 0.25"):
        assert expected_text in text
    assert (tmp_path / "whole" / "progress_size_penalty.png").stat().st_size > 10_000
    best = int(np.argmax(log["ema_fg_dice"]))
    assert trainer.best_epoch == best
    assert json.loads((tmp_path / "whole" / "debug.json").read_text())["best_epoch"] == str(best)
    final = torch.load(tmp_path / "whole" / "checkpoint_final.pth", weights_only=False)
    assert final["init_args"]["size_penalty"]["best_epoch"] == best


def test_an_unseeded_run_goes_on_with_the_batches_that_were_its_own(make, tmp_path):
    trainer = make("nnUNetTrainerDTS_2epochs")
    path = str(tmp_path / "results" / "checkpoint.pth")
    trainer.current_epoch, trainer.progress.outputs = 0, [{"loss": np.float32(1)}] * 3
    trainer.save_checkpoint(path)  # says that epoch 1 goes on after three iterations
    trainer.current_epoch = 1
    trainer.progress.end()
    expected = take(trainer.get_dataloaders()[0], 5)
    continued = make("nnUNetTrainerDTS_2epochs", continued=True)
    assert continued.entropy != trainer.entropy
    continued.load_checkpoint(path)
    for batch, other in zip(take(continued.get_dataloaders()[0], 2), expected[3:], strict=True):
        torch.testing.assert_close(batch["data"], other["data"], rtol=0, atol=0)


def test_nnunets_own_recipe_is_logged_too(make):
    trainer = make("nnUNetTrainerDTS_nnUNet_cap1000_1epochs_seed1")  # at the cap there is no gradient
    trainer.num_iterations_per_epoch, trainer.num_val_iterations_per_epoch = 3, 2
    trainer.gradient_every = 1
    trainer.run_training()
    logged = trainer.logger.local_logger.my_fantastic_logging
    assert {len(values) for values in logged.values()} == {1}
    assert logged["gradient_ratio"][0] > 0
    assert any(logged["clipped"][0] == pytest.approx(steps / 3) for steps in range(4))
    assert math.isfinite(logged["val_terms/S"][0])


def test_the_log_of_an_older_run_is_filled_up(make, tmp_path):
    name = "nnUNetTrainerDTF_nnUNet_seed1"
    trainer = make(name)
    logged = trainer.logger.local_logger.my_fantastic_logging
    for values in logged.values():
        values.extend([0.5, 0.6])
    for key in trainer.measures.keys:
        del logged[key]
    trainer.current_epoch = 1
    trainer.save_checkpoint(str(tmp_path / "results" / "checkpoint.pth"))
    continued = make(name, continued=True)
    continued.load_checkpoint(str(tmp_path / "results" / "checkpoint.pth"))
    logged = continued.logger.local_logger.my_fantastic_logging
    assert {len(values) for values in logged.values()} == {2}
    assert np.isnan(logged["train_terms/F"]).all()
    continued.logger.log("train_terms/F", 0.1, 2)
