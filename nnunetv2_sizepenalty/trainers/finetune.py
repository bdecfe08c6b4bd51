"""`_finetune`: a training that starts from the weights of another trainer's model, heads included.

nnU-Net's own `-pretrained_weights` leaves the heads out. Which weights it starts from stands in the fold's folder,
where the `finetune` command puts it, so that every process and a continued run find it.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.checkpoints import load_checkpoint
from nnunetv2_sizepenalty.nnunet_io.json_file import read_json
from nnunetv2_sizepenalty.trainers.network import unwrapped

SOURCE = "finetuned_from.json"
# of the initial learning rate, unless `_lr` says otherwise: the weights are good already
RATE_SHARE = 0.1


def start_from_source(network: nn.Module, fold_folder: str | Path) -> str:
    """Loads the weights that `finetuned_from.json` names; returns what to log. Ends the process where it can't.

    Args:
        network: also with what DDP and torch.compile put around it.
        fold_folder: of this training.
    """
    try:
        source = Path(read_json(Path(fold_folder) / SOURCE)["checkpoint"])
        weights = load_checkpoint(source)["network_weights"]
        network = unwrapped(network)
        refuse_other_network(source, weights, network.state_dict())
    except UserError as error:
        print(f"{error}; a name with _finetune is trained by `nnUNetv2_sizepenalty finetune`", file=sys.stderr)
        sys.exit(2)
    network.load_state_dict(plain_names(weights))
    return f"Weights of all layers, heads included, from {source}"


def plain_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Takes off what nn.DataParallel puts before a parameter's name, as nnUNetTrainer.load_checkpoint does."""
    return {name.removeprefix("module."): value for name, value in weights.items()}


def refuse_other_network(source: Path, weights: Mapping[str, Tensor], own: Mapping[str, Any]) -> None:
    """Compares names and shapes of all parameters.

    Raises:
        UserError: the checkpoint's network is another one.
    """
    theirs = {name: tuple(value.shape) for name, value in plain_names(weights).items()}
    ours = {name: tuple(value.shape) for name, value in own.items()}
    different = sorted(name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name))
    if different:
        raise UserError(
            f"{source} is of another network: {len(different)} of {len(ours)} parameters differ, such as "
            f"{different[0]}; a model of the thesis's recipe is fine-tuned without _nnUNet in the name, one of "
            "nnU-Net's own network with it"
        )
