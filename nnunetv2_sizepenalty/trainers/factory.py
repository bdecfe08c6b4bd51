"""Makes the class that a name means, once per process."""

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunetv2_sizepenalty import trainers
from nnunetv2_sizepenalty.trainers.base import SizePenaltyTrainer
from nnunetv2_sizepenalty.trainers.names import ATTENTION_ASPP, parse
from nnunetv2_sizepenalty.trainers.network import build_attention_aspp_unet
from nnunetv2_sizepenalty.trainers.recipe import ThesisTrainer

_RECIPES = {None: ThesisTrainer, "nnUNet": SizePenaltyTrainer}
_classes: dict[str, type[nnUNetTrainer]] = {}


def _make(name: str, base: type, attributes: dict) -> type[nnUNetTrainer]:
    # pickle and spawned processes find it again by module and name, through the package's `__getattr__`
    return type(name, (base,), {"__module__": trainers.__name__, "__qualname__": name, **attributes})


def trainer_class(name: str) -> type[nnUNetTrainer] | None:
    """The trainer that `name` means by the grammar in `names`, or None; the same object at every call."""
    if name not in _classes:
        if name == ATTENTION_ASPP:
            _classes[name] = _make(
                name, nnUNetTrainer, {"build_network_architecture": staticmethod(build_attention_aspp_unet)}
            )
        elif (parsed := parse(name)) is not None:
            _classes[name] = _make(name, _RECIPES[parsed.values.get("recipe")], parsed.class_attributes)
    return _classes.get(name)
