"""Stages, strides and kernels for a patch: the thesis's own, or nnU-Net's rules for any other."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dynamic_network_architectures.building_blocks.helper import convert_dim_to_conv_op, get_matching_instancenorm
from nnunetv2.experiment_planning.experiment_planners.network_topology import get_pool_and_conv_props

from nnunetv2_sizepenalty.architectures import planned_dilations

NETWORK = "nnunetv2_sizepenalty.architectures.AttentionASPPUNet"

# Slices first (thesis, sections 4.3 and 4.5).
PRESETS = {"isles22": (32, 112, 112), "proprietary": (32, 128, 128)}
PRESET_SMALL_PATCH = (32, 64, 64)
PRESET_BATCH_SIZE = 18
SMALL_PATCH_PROBABILITY = 0.2
PRESET_STRIDES = ((1, 1, 1), (1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2))

BASE_FEATURES = 32
MAX_FEATURES = {2: 512, 3: 320}
# nnU-Net's: a bottleneck is at least this long where the patch allows it.
MIN_FEATURE_MAP = 4


@dataclass(frozen=True)
class Topology:
    """A patch and the stages that fit it; sizes, strides and kernels per axis."""

    patch_size: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]
    kernel_sizes: tuple[tuple[int, ...], ...]

    @property
    def divisor(self) -> tuple[int, ...]:
        """What a patch must be a multiple of."""
        return tuple(math.prod(axis) for axis in zip(*self.strides, strict=True))


def topology_for(patch_size: Sequence[int], spacing: Sequence[float]) -> Topology:
    """Finds the stages for a patch; its size is rounded up to a multiple of the strides.

    The thesis's patches have the thesis's stages whatever the spacing; any other gets nnU-Net's
    (`get_pool_and_conv_props`).
    """
    if tuple(patch_size) in PRESETS.values():
        return Topology(tuple(patch_size), PRESET_STRIDES, ((3, 3, 3),) * len(PRESET_STRIDES))
    _, strides, kernels, padded, _ = get_pool_and_conv_props(spacing, patch_size, MIN_FEATURE_MAP, 999999)
    return Topology(tuple(map(int, padded)), strides, kernels)


def rounded_up(patch_size: Sequence[int], divisor: Sequence[int]) -> tuple[int, ...]:
    return tuple(math.ceil(n / d) * d for n, d in zip(patch_size, divisor, strict=True))


def default_small_patch(topology: Topology) -> tuple[int, ...]:
    """Half the patch in the plane, all of it across slices, as 32x64x64 is to 32x128x128 (thesis, section 4.4)."""
    in_plane = len(topology.patch_size) - 2
    halved = [n if axis < in_plane else n // 2 for axis, n in enumerate(topology.patch_size)]
    return rounded_up(halved, topology.divisor)


def architecture(topology: Topology) -> dict:
    """Makes a plan's `architecture`: AttentionASPPUNet at base 32, no convolution bias, dilations for the patch."""
    dim, n_stages = len(topology.patch_size), len(topology.strides)
    conv_op = convert_dim_to_conv_op(dim)
    norm_op = get_matching_instancenorm(conv_op)
    return {
        "network_class_name": NETWORK,
        "arch_kwargs": {
            "n_stages": n_stages,
            "features_per_stage": [min(MAX_FEATURES[dim], BASE_FEATURES * 2**stage) for stage in range(n_stages)],
            "conv_op": f"{conv_op.__module__}.{conv_op.__name__}",
            "kernel_sizes": [list(kernel) for kernel in topology.kernel_sizes],
            "strides": [list(stride) for stride in topology.strides],
            "n_conv_per_stage": [2] * n_stages,
            "n_conv_per_stage_decoder": [2] * (n_stages - 1),
            "conv_bias": False,
            "norm_op": f"{norm_op.__module__}.{norm_op.__name__}",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
            "aspp_dilations": planned_dilations(topology.patch_size, topology.strides),
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
