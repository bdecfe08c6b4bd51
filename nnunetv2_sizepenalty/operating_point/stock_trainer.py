"""Whether a model can be predicted by nnU-Net's own trainer class, without the plugin that trained it."""

from typing import Any

from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from torch import nn

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.model_folder import ModelFolder

STOCK_TRAINER = "nnUNetTrainer"


def check_stock_network(model: ModelFolder, checkpoint: dict[str, Any]) -> None:
    """Compares the network that the checkpoint's trainer builds with the one that nnU-Net's own trainer builds.

    The predictor asks the trainer class for nothing but its network, so with equal networks the names may be exchanged.

    Raises:
        UserError: they differ, or the plan names a network outside nnU-Net.
    """
    name, configuration = checkpoint["trainer_name"], checkpoint["init_args"]["configuration"]
    remedy = "predict with this package installed, without --as-nnunet-trainer"
    network = model.manager.get_configuration(configuration).network_arch_class_name
    if network.startswith("nnunetv2_sizepenalty."):
        raise UserError(f"the plan's network is {network}, which needs this package: {remedy}")
    if name == STOCK_TRAINER:
        return
    trained = _build(name, configuration, model)
    stock = _build(STOCK_TRAINER, configuration, model)
    if type(trained) is not type(stock) or repr(trained) != repr(stock):
        raise UserError(
            f"{name} builds a network of its own ({type(trained).__name__}), not the plan's "
            f"({type(stock).__name__}): {remedy}"
        )


def _build(trainer_name: str, configuration: str, model: ModelFolder) -> nn.Module:
    try:
        trainer = recursive_find_trainer_class_by_name(trainer_name)
    except RuntimeError as error:
        raise UserError(
            f"nnU-Net does not find the model's trainer {trainer_name}: install where it comes from"
        ) from error
    plans = model.manager
    config = plans.get_configuration(configuration)
    channels = determine_num_input_channels(plans, config, model.dataset_json)
    return trainer.build_network_architecture(
        plans, config, channels, model.labels.n_channels, enable_deep_supervision=False
    )
