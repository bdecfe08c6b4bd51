"""AttentionASPPUNet in the place of the plan's network."""

from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from nnunetv2_sizepenalty.architectures import AttentionASPPUNet, planned_dilations

NETWORK = f"nnunetv2_sizepenalty.architectures.{AttentionASPPUNet.__name__}"


def build_attention_aspp_unet(
    plans_manager: PlansManager,
    configuration_manager: ConfigurationManager,
    num_input_channels: int,
    num_output_channels: int,
    enable_deep_supervision: bool = True,
) -> nn.Module:
    """Builds AttentionASPPUNet from whatever network's `arch_kwargs` the plan holds.

    In the place of nnUNetTrainer.build_network_architecture; nnU-Net passes the arguments by these names. A plan made
    for another network knows nothing of dilations: they are capped for its patch size.
    """
    arch_kwargs = dict(configuration_manager.network_arch_init_kwargs)
    arch_kwargs.setdefault(
        "aspp_dilations", planned_dilations(configuration_manager.patch_size, arch_kwargs["strides"])
    )
    return get_network_from_plans(
        NETWORK,
        arch_kwargs,
        configuration_manager.network_arch_init_kwargs_req_import,
        num_input_channels,
        num_output_channels,
        allow_init=True,
        deep_supervision=enable_deep_supervision,
    )


def unwrapped(network: nn.Module) -> nn.Module:
    """Returns the network without what DDP and torch.compile put around it."""
    network = network.module if isinstance(network, DistributedDataParallel) else network
    return getattr(network, "_orig_mod", network)
