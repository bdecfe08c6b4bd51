"""Makes the class that a name means, once per process."""

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunetv2_sizepenalty import trainers
from nnunetv2_sizepenalty.trainers.base import SizePenaltyTrainer
from nnunetv2_sizepenalty.trainers.names import ATTENTION_ASPP, parse
from nnunetv2_sizepenalty.trainers.network import AttentionASPPMixin
from nnunetv2_sizepenalty.trainers.recipe import ThesisTrainer

_RECIPES = {None: ThesisTrainer, "nnUNet": SizePenaltyTrainer}
_classes: dict[str, type[nnUNetTrainer]] = {}


def _make(name: str, bases: tuple[type, ...], values: dict) -> type[nnUNetTrainer]:
    # pickle and spawned processes find it again by module and name, through the package's `__getattr__`
    return type(name, bases, {"__module__": trainers.__name__, "__qualname__": name, **values})


def trainer_class(name: str) -> type[nnUNetTrainer] | None:
    """The trainer that `name` means by the grammar in `names`, or None; the same object at every call."""
    if name not in _classes:
        if name == ATTENTION_ASPP:
            _classes[name] = _make(name, (AttentionASPPMixin, nnUNetTrainer), {})
        elif (parsed := parse(name)) is not None:
            values = dict(parsed.values)
            base = _RECIPES[values.pop("recipe", None)]
            _classes[name] = _make(name, (base,), {"combination": parsed.combination, **values})
    return _classes.get(name)
