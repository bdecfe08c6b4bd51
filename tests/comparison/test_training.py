"""Training curves and epochs from nnU-Net's own logger in a checkpoint."""

import numpy as np
import pytest
import torch
from nnunetv2.training.logging.nnunet_logger import LocalLogger

from nnunetv2_sizepenalty.comparison.training import mean_curves, read_trainings
from nnunetv2_sizepenalty.errors import UserError


def write_fold(folder, epochs, best, name="checkpoint_final.pth"):
    """A checkpoint as nnU-Net saves it, its moving average highest at `best`."""
    logger = LocalLogger()
    for epoch in range(epochs):
        value = np.float32(1 - abs(epoch - best) / 100)
        logger.log("train_losses", np.float32(-epoch), epoch)
        logger.log("val_losses", np.float64(epoch), epoch)
        for key in ("mean_fg_dice", "ema_fg_dice"):
            logger.log(key, value, epoch)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"logging": logger.get_checkpoint(), "network_weights": {"w": torch.zeros(2)}}, folder / name)


def test_all_folds_of_a_trainer_folder(tmp_path):
    write_fold(tmp_path / "fold_0", epochs=6, best=4)
    write_fold(tmp_path / "fold_1", epochs=4, best=1)
    (tmp_path / "fold_2").mkdir()
    folds = read_trainings([tmp_path])
    assert [fold.best_epoch for fold in folds] == [4, 1]
    curves = mean_curves({"A": folds})
    validation = curves[curves["curve"] == "validation loss"]
    assert validation["value"].tolist() == [0, 1, 2, 3, 4, 5]
    assert len(curves) == 3 * 6


def test_a_fold_folder_and_an_unfinished_one(tmp_path):
    write_fold(tmp_path, epochs=3, best=2, name="checkpoint_latest.pth")
    write_fold(tmp_path, epochs=2, best=1, name="checkpoint_best.pth")
    (fold,) = read_trainings([tmp_path])
    assert (fold.best_epoch, len(fold.curves)) == (2, 3)


def test_nan_in_the_moving_average_is_never_the_best(tmp_path):
    write_fold(tmp_path, epochs=3, best=1)
    checkpoint = torch.load(tmp_path / "checkpoint_final.pth", weights_only=False)
    checkpoint["logging"]["ema_fg_dice"][2] = np.nan
    torch.save(checkpoint, tmp_path / "checkpoint_final.pth")
    assert read_trainings([tmp_path])[0].best_epoch == 1


@pytest.mark.parametrize("content", [None, {"network_weights": {}}, {"logging": {"train_losses": []}}])
def test_folder_without_a_log(tmp_path, content):
    if content is not None:
        torch.save(content, tmp_path / "checkpoint_final.pth")
    with pytest.raises(UserError, match=r"checkpoint_final\.pth"):
        read_trainings([tmp_path])
