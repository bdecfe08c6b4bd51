"""Forced patches through real trainers: their share, what they hold, and what estimates are taken from."""

import numpy as np
import pytest
from batchgenerators.dataloading.single_threaded_augmenter import SingleThreadedAugmenter
from scipy.stats import binomtest

from nnunetv2_sizepenalty.sampling.patch_volumes import draw_patch_volumes
from nnunetv2_sizepenalty.sampling.shifted import ShiftedPlaces
from nnunetv2_sizepenalty.trainers import base
from nnunetv2_sizepenalty.trainers.patches import drawn_patches

pytestmark = pytest.mark.integration

RECIPES = {"thesis": "nnUNetTrainerDTS", "nnUNet": "nnUNetTrainerDTS_nnUNet"}


def nnunets_loaders(trainer):
    """nnU-Net's loaders of training and validation, of both sizes where there are two."""
    started = trainer.get_dataloaders()
    assert all(isinstance(augmenter, SingleThreadedAugmenter) for augmenter in started)
    made = [augmenter.data_loader for augmenter in started]
    sizes = ((loader.loader, getattr(loader, "small", None)) for loader in made)
    return made, [loader for pair in sizes for loader in pair if loader is not None]


def assert_share(forced, share):
    assert binomtest(int(np.sum(forced)), len(forced), share).pvalue > 0.001, np.mean(forced)


@pytest.mark.parametrize("shifted", ["", "_shifted"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_so_many_patches_of_batches_are_forced(make, recipe, shifted):
    trainer = make(f"{RECIPES[recipe]}{shifted}_positive0p66_seed1")
    (train, _), loaders = nnunets_loaders(trainer)
    assert len(loaders) == (4 if recipe == "thesis" else 2)
    forced = []
    for loader in loaders:

        def place(shape, force_fg, locations, nnunets=loader.get_bbox):
            forced.append(force_fg)
            return nnunets(shape, force_fg, locations)

        assert isinstance(loader.get_bbox, ShiftedPlaces) == bool(shifted)
        loader.get_bbox = place
    for _ in range(150):
        next(train)
    assert len(forced) == 300
    assert_share(forced, 0.66)
    assert trainer.settings["forced_share"] == 0.66


@pytest.mark.parametrize("recipe", RECIPES)
def test_tau_and_bias_are_taken_from_such_patches(make, recipe, monkeypatch):
    trainer = make(f"{RECIPES[recipe]}_priorbias_shifted_positive0p66_tauAuto")
    asked = {}
    estimate_tau, start_at_prior = base.estimate_tau, base.start_at_prior

    def tau(dataset, folder, kinds, *args, **options):
        asked["tau"] = kinds
        return estimate_tau(dataset, folder, kinds, *args, **options)

    def prior(network, dataset, kinds, *args):
        asked["prior"] = kinds
        return start_at_prior(network, dataset, kinds, *args)

    monkeypatch.setattr(base, "estimate_tau", tau)
    monkeypatch.setattr(base, "start_at_prior", prior)
    trainer._estimate_tau()
    trainer._start_at_prior()
    assert asked["tau"] == asked["prior"] == drawn_patches(type(trainer), trainer.configuration_manager)
    dataset, _ = trainer.get_tr_and_val_datasets()
    per_case = 600 // len(dataset.identifiers)
    drawn = draw_patch_volumes(dataset, asked["tau"], trainer.label_manager, 2, per_case=per_case)
    assert_share(drawn.forced, 0.66)
    assert {kind.held for kind in asked["tau"]} == {"voxel"}


@pytest.mark.parametrize("modifiers", ["shifted", "lesionuniform_shifted"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_places_are_those_of_the_simulated_patches(make, recipe, modifiers):
    trainer = make(f"{RECIPES[recipe]}_{modifiers}_seed1")
    kinds = drawn_patches(trainer, trainer.configuration_manager)
    assert {kind.held for kind in kinds} == {"lesion" if "lesion" in modifiers else "voxel"}
    _, loaders = nnunets_loaders(trainer)
    for kind, loader in zip(2 * kinds, loaders, strict=True):
        assert tuple(loader.final_patch_size) == kind.size
        margin = np.array(loader.patch_size) // 2 - np.array(kind.size) // 2
        inside = []
        for case in loader._data.identifiers:
            _, segmentation, _, properties = loader._data.load_case(case)
            labels = np.asarray(segmentation[0])
            for _ in range(20):
                low, high = loader.get_bbox(labels.shape, True, properties["class_locations"])
                assert list(np.subtract(high, low)) == list(loader.patch_size)
                low = low + margin
                patch = labels[tuple(map(slice, low.clip(0), low + kind.size))]
                inside.append((patch > 0).any() or not (labels > 0).any())
        assert all(inside)


def test_without_the_modifier_nnunet_places_them(make):
    for name in RECIPES.values():
        _, loaders = nnunets_loaders(make(f"{name}_seed1"))
        assert not any("get_bbox" in vars(loader) for loader in loaders)


def test_unseeded_batches_of_nnunets_recipe_are_shifted_and_go_on(make):
    trainer = make("nnUNetTrainerDTS_nnUNet_shifted")
    made, loaders = nnunets_loaders(trainer)
    assert all(isinstance(loader.get_bbox, ShiftedPlaces) for loader in loaders)
    first = [next(made[0])["data"].numpy() for _ in range(3)]
    other = make("nnUNetTrainerDTS_nnUNet_shifted", folder="other")
    other.entropy, other.current_epoch, other.num_iterations_per_epoch = trainer.entropy, 2, 1
    again = next(nnunets_loaders(other)[0][0])["data"].numpy()
    np.testing.assert_array_equal(again, first[2])


def test_coarse_targets_hold_every_lesion(make):
    trainer = make("nnUNetTrainerDCL_nnUNet_positive1_keepSmall_seed1")
    (train, validation), _ = nnunets_loaders(trainer)
    assert trainer.settings["keep_small"] is True
    seen = 0
    for loader in (train, validation):
        for _ in range(10):
            finest, *coarse = next(loader)["target"]
            assert coarse
            for target in coarse:
                there = (finest[:, 0] > 0).flatten(1).any(1)
                assert ((target[:, 0] > 0).flatten(1).any(1) == there).all()
                seen += int(there.sum())
    assert seen > 20
