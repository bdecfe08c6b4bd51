"""AttentionASPPUNet: nnU-Net's encoder, an ASPP bottleneck, attention gates on all skips (thesis, section 4.3)."""

import math
from collections.abc import Sequence

import torch
from dynamic_network_architectures.architectures.abstract_arch import AbstractDynamicNetworkArchitectures
from dynamic_network_architectures.building_blocks.helper import (
    convert_conv_op_to_dim,
    get_matching_pool_op,
    maybe_convert_scalar_to_list,
)
from dynamic_network_architectures.building_blocks.plain_conv_encoder import PlainConvEncoder
from dynamic_network_architectures.building_blocks.residual_encoders import ResidualEncoder
from dynamic_network_architectures.initialization.weight_init import InitWeights_He, init_last_bn_before_add_to_0
from torch import nn
from torch.nn.modules.pooling import _AvgPoolNd

from nnunetv2_sizepenalty.architectures.aspp import ASPP
from nnunetv2_sizepenalty.architectures.decoder import AttentionDecoder

PerStage = int | Sequence[int] | Sequence[Sequence[int]]


def _per_stage(name: str, value: PerStage, n: int) -> list:
    value = [value] * n if isinstance(value, int) else list(value)
    if len(value) != n:
        raise ValueError(f"{name} must have {n} entries, one per stage, not {len(value)}: {value}")
    return value


class AttentionASPPUNet(AbstractDynamicNetworkArchitectures):
    """A U-Net for nnU-Net's plans, 2d and 3d; (B, input_channels, *size) to logits (B, num_classes, *size).

    The constructor is the vocabulary of a plan's `arch_kwargs` (PlainConvUNet's and ResidualEncoderUNet's in
    dynamic_network_architectures). The last stage is the ASPP: its stride is a max pooling before it, its kernel that
    of the dilated branches, its number of convolutions or blocks is not used. Sizes need not be multiples of the
    strides: they are rounded up on the way down and cropped on the way up.

    Args:
        n_conv_per_stage: convolutions per encoder stage (PlainConvUNet's plans); or
        n_blocks_per_stage: residual blocks per encoder stage (ResidualEncoderUNet's plans).
        n_conv_per_stage_decoder: convolutions per decoder stage, the lowest resolution first.
        deep_supervision: return the logits of all decoder stages in a list, the highest resolution first.
        aspp_dilations: an int, or one int per axis, for each dilated branch, as `planned_dilations` gives them for
            a planned patch; when None, each forward pass caps 2, 4, 6 by the map that reaches the bottleneck.
        others: as in dynamic_network_architectures.

    Raises:
        ValueError: stages and entries do not agree, or neither or both of the two encoder arguments are given.
    """

    def __init__(
        self,
        input_channels: int,
        n_stages: int,
        features_per_stage: int | Sequence[int],
        conv_op: type[nn.Module],
        kernel_sizes: PerStage,
        strides: PerStage,
        n_conv_per_stage: int | Sequence[int] | None = None,
        num_classes: int = 1,
        n_conv_per_stage_decoder: int | Sequence[int] = 2,
        conv_bias: bool = False,
        norm_op: type[nn.Module] | None = None,
        norm_op_kwargs: dict | None = None,
        dropout_op: type[nn.Module] | None = None,
        dropout_op_kwargs: dict | None = None,
        nonlin: type[nn.Module] | None = None,
        nonlin_kwargs: dict | None = None,
        deep_supervision: bool = False,
        n_blocks_per_stage: int | Sequence[int] | None = None,
        aspp_dilations: Sequence[int | Sequence[int]] | None = None,
    ):
        super().__init__()
        if n_stages < 2:
            raise ValueError(f"n_stages must be at least 2 (one encoder stage and the bottleneck), not {n_stages}")
        if (n_conv_per_stage is None) == (n_blocks_per_stage is None):
            raise ValueError(
                f"give one of n_conv_per_stage and n_blocks_per_stage, not {n_conv_per_stage} and {n_blocks_per_stage}"
            )
        features = _per_stage("features_per_stage", features_per_stage, n_stages)
        kernels = _per_stage("kernel_sizes", kernel_sizes, n_stages)
        self.strides = [
            list(maybe_convert_scalar_to_list(conv_op, stride)) for stride in _per_stage("strides", strides, n_stages)
        ]
        if set(self.strides[0]) != {1}:
            raise ValueError(f"the first stage's stride must be 1, for the output has the input's size: {strides}")
        plain = n_blocks_per_stage is None
        depth_name, depth = (
            ("n_conv_per_stage", n_conv_per_stage) if plain else ("n_blocks_per_stage", n_blocks_per_stage)
        )
        self.encoder = (PlainConvEncoder if plain else ResidualEncoder)(
            input_channels,
            n_stages - 1,
            features[:-1],
            conv_op,
            kernels[:-1],
            self.strides[:-1],
            _per_stage(depth_name, depth, n_stages)[:-1],
            conv_bias,
            norm_op,
            norm_op_kwargs,
            dropout_op,
            dropout_op_kwargs,
            nonlin,
            nonlin_kwargs,
            return_skips=True,
        )
        for module in self.encoder.modules():
            if isinstance(module, _AvgPoolNd):
                # A residual block's shortcut rounds odd sizes up like the strided convolution beside it.
                module.ceil_mode = True
        self.pool = get_matching_pool_op(conv_op, pool_type="max")(self.strides[-1], self.strides[-1], ceil_mode=True)
        self.bottleneck = ASPP(
            features[-2],
            features[-1],
            conv_op,
            kernels[-1],
            conv_bias,
            norm_op,
            norm_op_kwargs,
            nonlin,
            nonlin_kwargs,
            aspp_dilations,
        )
        self.decoder = AttentionDecoder(
            self.encoder,
            features[-1],
            self.strides,
            num_classes,
            _per_stage("n_conv_per_stage_decoder", n_conv_per_stage_decoder, n_stages - 1),
            deep_supervision,
        )
        # Where dynamic_network_architectures looks for the encoder's and the first convolution's weights.
        stem = "encoder.stages.0.0" if plain else "encoder.stem"
        self.key_to_encoder = "encoder.stages"
        self.key_to_stem = "encoder.stages.0" if plain else "encoder.stem"
        self.keys_to_in_proj = (f"{stem}.convs.0.all_modules.0", f"{stem}.convs.0.conv")

    def forward(self, x: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        skips = self.encoder(x)
        return self.decoder(self.bottleneck(self.pool(skips[-1])), skips)

    def compute_conv_feature_map_size(self, input_size: Sequence[int]) -> int:
        """Values in the outputs of all convolutions for an input of `input_size` (no batch, no channels): planners
        estimate memory by it."""
        if len(input_size) != convert_conv_op_to_dim(self.encoder.conv_op):
            raise ValueError(f"input_size is the spatial size alone, {self.strides[0]} has its axes, not {input_size}")
        sizes = []
        size = list(input_size)
        for stride in self.strides:
            size = [math.ceil(n / s) for n, s in zip(size, stride, strict=True)]
            sizes.append(size)
        return (
            int(self.encoder.compute_conv_feature_map_size(input_size))
            + self.bottleneck.compute_conv_feature_map_size(sizes[-1])
            + self.decoder.compute_conv_feature_map_size(sizes[:-1])
        )

    @staticmethod
    def initialize(module: nn.Module) -> None:
        """nnU-Net's initialisation, called on each submodule by `network.apply`."""
        InitWeights_He(1e-2)(module)
        init_last_bn_before_add_to_0(module)
