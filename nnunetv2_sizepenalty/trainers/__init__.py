"""The trainers that `nnUNetv2_train -tr` finds: `nnUNetTrainer<COMBINATION>[_<modifier>...]`.

`names` is the grammar, `factory` makes the classes, `base` is what all of them share, hook by hook, `recipe` the
thesis's recipe: the only two that know nnU-Net's trainer. They call `patches` (what batches hold), `augmentation` (what
is done to them), `schedule`, `training_log` (`measures`, `progress_figure`), `resume` and `job_signals` (what survives
a killed job), `tau`, `prior_bias`, `cells`, `keep_small`, `lesion_sampling` (what modifiers ask for). Classes are made
when asked for: `from nnunetv2_sizepenalty.trainers import nnUNetTrainerDTS_tau300` works.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nnunetv2_sizepenalty.trainers.base import SizePenaltyTrainer

# The main combinations, declared for editors; `__getattr__` makes them and every other name of the grammar.
nnUNetTrainerD: type[SizePenaltyTrainer]
nnUNetTrainerDT: type[SizePenaltyTrainer]
nnUNetTrainerDTF: type[SizePenaltyTrainer]
nnUNetTrainerDTS: type[SizePenaltyTrainer]
nnUNetTrainerF: type[SizePenaltyTrainer]
nnUNetTrainerFD: type[SizePenaltyTrainer]
nnUNetTrainerFS: type[SizePenaltyTrainer]
nnUNetTrainerFSD: type[SizePenaltyTrainer]
nnUNetTrainerS: type[SizePenaltyTrainer]
nnUNetTrainerSD: type[SizePenaltyTrainer]
nnUNetTrainerST: type[SizePenaltyTrainer]
nnUNetTrainerT: type[SizePenaltyTrainer]
nnUNetTrainerTF: type[SizePenaltyTrainer]
nnUNetTrainerTFS: type[SizePenaltyTrainer]
nnUNetTrainerDTFS: type[SizePenaltyTrainer]
nnUNetTrainerDC: type[SizePenaltyTrainer]
nnUNetTrainerDK: type[SizePenaltyTrainer]
nnUNetTrainerDCS: type[SizePenaltyTrainer]
nnUNetTrainerDKS: type[SizePenaltyTrainer]


def find_trainer(name: str):
    """The class that a `-tr` name of the grammar stands for, or None. The same object at every call."""
    from nnunetv2_sizepenalty.trainers.factory import trainer_class

    return trainer_class(name)


def __getattr__(name: str):
    trainer = find_trainer(name) if name.startswith("nnUNetTrainer") else None
    if trainer is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return trainer
