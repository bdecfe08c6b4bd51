"""The trainer's life reads from top to bottom: two classes override nnU-Net's hooks, each hook once."""

import importlib
import inspect
import pkgutil
import re

import pytest
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunetv2_sizepenalty import trainers
from nnunetv2_sizepenalty.losses import COMMON_COMBINATIONS
from nnunetv2_sizepenalty.trainers import base, recipe
from nnunetv2_sizepenalty.trainers.names import ATTENTION_ASPP, MODIFIERS, PREFIX, example_combination

HOOKS = {name for name, value in vars(nnUNetTrainer).items() if callable(value) or isinstance(value, staticmethod)}
NAMES = [PREFIX + code + suffix for code in COMMON_COMBINATIONS for suffix in ("", "_nnUNet")]
NAMES += [f"{PREFIX}{example_combination(modifier)}_{modifier.example}" for modifier in MODIFIERS]


def ancestors(name):
    """The classes between a name's and nnU-Net's trainer."""
    line = trainers.find_trainer(name).__mro__[1:]
    return line[: line.index(nnUNetTrainer)]


@pytest.mark.parametrize("name", NAMES)
def test_at_most_two_classes_stand_between_a_name_and_nnunets_trainer(name):
    line = ancestors(name)
    assert set(line) <= {recipe.ThesisTrainer, base.SizePenaltyTrainer}
    assert not HOOKS & (vars(trainers.find_trainer(name)).keys() - {"__module__", "__qualname__", "__doc__"})


def test_the_network_with_nnunets_own_recipe_stands_below_nnunets_trainer():
    assert ancestors(ATTENTION_ASPP) == ()


def overridden_in(module):
    """(class, hook) of every hook that a class in the module's source defines."""
    classes = [
        value for value in vars(module).values() if inspect.isclass(value) and value.__module__ == module.__name__
    ]
    return {(value.__name__, name) for value in classes for name in HOOKS & vars(value).keys() - {"__init__"}}


def test_no_other_class_overrides_a_hook():
    found = set()
    for module in pkgutil.iter_modules(trainers.__path__, f"{trainers.__name__}."):
        found |= {name for name, hook in overridden_in(importlib.import_module(module.name)) if hook != "__repr__"}
    assert found == {"SizePenaltyTrainer", "ThesisTrainer"}


def test_the_base_lists_its_hooks_in_its_order():
    listed = re.findall(r"^    +(\w+)(?:  .*)?$", base.__doc__, re.MULTILINE)
    defined = [name for name in vars(base.SizePenaltyTrainer) if name in HOOKS]
    assert [name for name in listed if name in HOOKS] == listed
    assert sorted(listed) == sorted(defined)
    calls = inspect.getsource(nnUNetTrainer.run_training)
    in_loop = [name for name in listed if f"self.{name}(" in calls]
    assert in_loop == sorted(in_loop, key=lambda name: calls.index(f"self.{name}("))
    assert listed == defined
