"""Every letter and modifier through nnU-Net's commands: stopped, continued, predicted."""

import math
from itertools import pairwise

import pytest
import torch
from nnunet_commands import TinyDataset
from trainings import continue_to_the_end, masks, predict, stop_in_second_epoch, train_to_the_end

from nnunetv2_sizepenalty.trainers.names import MODIFIERS, parse

pytestmark = pytest.mark.integration

# Few names that carry every modifier of the variants; the last ones under nnU-Net's own recipe.
NAMES = (
    "nnUNetTrainerDTS_perlesion_softcap_gate5ml_late40_balanced_priorbias_lesionuniform_tauAuto_2epochs_seed1",
    "nnUNetTrainerDTS_logratio_gatePred5ml_anneal1_learned_shifted_tau2ml_2epochs_seed2",
    "nnUNetTrainerDTFCKLBHS_fn0p8_power0p75_gamma1_alpha0p5_noSmooth_batchDice_sizeweight4_tau60_lambda0p2_cap20"
    "_D0p5_T0p5_F0p5_C0p5_K0p5_L0p5_B0p4_H0p2_lr0p001_deterministic_2epochs_seed5",
    "nnUNetTrainerDCS_nnUNet_perlesion_softcap_hardgate5ml_late40_learned_priorbias_lesionuniform_tauAuto_2epochs_seed3",
    "nnUNetTrainerDCL_nnUNet_lesionuniform_shifted_positive0p66_keepSmall_2epochs_seed4",
)
UNSEEN = {"data_wait_s", "epoch_start_timestamps", "epoch_end_timestamps"}


def results(tiny: TinyDataset, trainer: str) -> dict:
    return torch.load(tiny.results(trainer) / "fold_0" / "checkpoint_final.pth", weights_only=False)


def assert_same(one, other, where: str) -> None:
    """Equal to the last bit, NaN equal to NaN, in nested dicts and lists."""
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_same(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for index, pair in enumerate(zip(one, other, strict=True)):
            assert_same(*pair, f"{where}/{index}")
    else:
        assert one == other or (math.isnan(one) and math.isnan(other)), (where, one, other)


def test_each_modifier_is_in_a_name():
    named = {attribute for name in NAMES for attribute in parse(name).values}
    # `_finetune` is trained in test_finetune
    assert {modifier.attribute for modifier in MODIFIERS} - named == {"augmentation", "finetune"}


# the others take minutes each: .ci/full
BRIEF = ("thesis 1", "thesis 3")
CASES = [
    pytest.param(trainer, id=name, marks=[] if name in BRIEF else pytest.mark.full)
    for name, trainer in zip(("thesis 1", "thesis 2", "thesis 3", "nnUNet 1", "nnUNet 2"), NAMES, strict=True)
]


@pytest.mark.parametrize("trainer", CASES)
def test_stopped_and_continued_it_ends_as_the_run_that_was_not(tiny_dataset, trainer, tmp_path):
    tiny, fold = tiny_dataset, tiny_dataset.results(trainer) / "fold_0"
    train_to_the_end(tiny, trainer)
    whole = results(tiny, trainer)
    predict(tiny.workspace, tiny, trainer, tmp_path / "masks")
    assert len(masks(tmp_path / "masks")) == 2

    fold.rename(fold.with_name("whole"))
    stop_in_second_epoch(tiny, trainer)
    stopped = torch.load(fold / "checkpoint_latest.pth", weights_only=False)
    assert stopped["current_epoch"] == 1
    state = stopped["init_args"]["size_penalty"]
    assert state["iteration"] > 0
    assert f"after {state['iteration']} of its iterations" in continue_to_the_end(tiny, trainer)
    continued = results(tiny, trainer)

    # tau, s and the place in the schedule of the weight are in these, or the losses would differ
    assert_same(continued["network_weights"], whole["network_weights"], "weights")
    assert_same(continued["init_args"]["size_penalty"], whole["init_args"]["size_penalty"], "state")
    logs = [{key: log for key, log in run["logging"].items() if key not in UNSEEN} for run in (whole, continued)]
    assert_same(*logs, "log")
    assert all(torch.isfinite(values).all() for values in continued["network_weights"].values())

    values = parse(trainer).values
    settings, logged = whole["init_args"]["size_penalty"]["settings"], whole["logging"]
    assert state["settings"] == settings
    weights = logged.get("size_weight")
    if "late_percent" in values:  # from 1.2 of 2 epochs on
        assert weights[0] == 0 < weights[1]
    if "anneal_epochs" in values:
        assert 0 < weights[0] < weights[1]
    if values.get("weighting") == "learned":
        s = [-math.log(settings["weights"]["S"]), *logged["learned_s"]]
        assert any(before != after for before, after in pairwise(s))
        assert state["loss"] != {}
    if "per_lesion" in values:
        assert settings["per_lesion"]
        assert all(0 <= share <= 1 for share in logged["saturated"])
    for patches in {"shifted", "keep_small", "forced_share"} & values.keys():
        assert settings[patches] == values[patches]
    if "tau_auto" in values:
        assert settings["tau_voxels"] not in (600.0, 0.0)
