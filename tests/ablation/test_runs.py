"""The runs of a matrix: which there are, what they are called, and where their files go."""

import pytest

from nnunetv2_sizepenalty.ablation.runs import peers_of, seeded
from nnunetv2_sizepenalty.errors import UserError


def test_every_trainer_fold_and_seed_is_a_run(make_ablation):
    runs = make_ablation(seeds=[0, 3]).runs
    assert len(runs) == len({run.key for run in runs}) == len({run.folder for run in runs}) == 8
    assert {run.model for run in runs} == {"nnUNetTrainer", "nnUNetTrainerDCS_nnUNet"}


def test_the_first_repeat_of_all_models_comes_before_the_second_of_any(make_ablation):
    runs = make_ablation(seeds=[3, 0]).runs
    assert [run.seed for run in runs] == [3] * 4 + [0] * 4
    assert [run.model for run in runs[:4]] == ["nnUNetTrainer"] * 2 + ["nnUNetTrainerDCS_nnUNet"] * 2
    assert [run.fold for run in runs] == [0, 1] * 4


def test_a_repeat_of_ours_is_in_its_name_and_one_of_others_in_a_results_folder_of_its_own(make_ablation):
    ablation = make_ablation(seeds=[0, 3])
    theirs, ours = (
        [run for run in ablation.runs if run.model == model and run.fold == 0]
        for model in ("nnUNetTrainer", "nnUNetTrainerDCS_nnUNet")
    )
    assert [run.trained_as for run in theirs] == ["nnUNetTrainer"] * 2
    assert [run.nnunet_results for run in theirs] == [ablation.out / f"nnUNet_results_repeat_{seed}" for seed in (0, 3)]
    assert [run.trained_as for run in ours] == [f"nnUNetTrainerDCS_nnUNet_seed{seed}" for seed in (0, 3)]
    assert len({run.nnunet_results for run in ours}) == 1
    assert len({run.lock for run in theirs + ours}) == 4


def test_without_seeds_all_are_trained_in_nnunets_own_folder(make_ablation):
    assert len({run.nnunet_results for run in make_ablation().runs}) == 1


def test_two_seeds_for_one_trainer_are_refused():
    with pytest.raises(UserError, match="nnUNetTrainerDTS_seed1 names a seed"):
        seeded("nnUNetTrainerDTS_seed1", 0)


def test_models_are_told_apart_by_their_plans(make_ablation):
    runs = make_ablation(trainers=["nnUNetTrainer", {"trainer": "nnUNetTrainerDTS", "plans": "OurPlans"}]).runs
    assert {run.model for run in runs} == {"nnUNetTrainer nnUNetPlans", "nnUNetTrainerDTS OurPlans"}


def test_one_model_twice_is_refused(make_ablation):
    with pytest.raises(UserError, match="nnUNetTrainer on Dataset042_Strokes with nnUNetPlans is there twice"):
        make_ablation(trainers=["nnUNetTrainer", {"trainer": "nnUNetTrainer", "plans": "nnUNetPlans"}])


def test_peers_are_the_other_folds_of_the_same_repeat(make_ablation):
    ablation = make_ablation(seeds=[0, 3], folds=[0, 1, 2])
    for run in ablation.runs:
        peers = peers_of(run, ablation.runs)
        assert {peer.fold for peer in peers} == {0, 1, 2} - {run.fold}
        assert {(peer.model, peer.seed) for peer in peers} == {(run.model, run.seed)}
