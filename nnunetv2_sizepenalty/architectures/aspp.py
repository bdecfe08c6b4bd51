"""Atrous spatial pyramid pooling (Chen et al. 2017, arXiv:1706.05587) as a U-Net's bottleneck."""

import math
from collections.abc import Sequence
from functools import partial

import torch
from dynamic_network_architectures.building_blocks.helper import (
    convert_conv_op_to_dim,
    get_matching_dropout,
    maybe_convert_scalar_to_list,
)
from dynamic_network_architectures.building_blocks.simple_conv_blocks import ConvDropoutNormReLU
from torch import nn
from torch.nn import functional

# The thesis gives no rates: these train every tap on the 8 x 8 x 8 bottleneck of its large patch.
DILATIONS = (2, 4, 6)
# Channel dropout behind the pyramid (thesis, section 4.3).
DROPOUT = 0.2


def capped(dilation: Sequence[int], size: Sequence[int]) -> list[int]:
    """`dilation` per axis, at most size - 1: any more and a 3-tap kernel sees padding alone beside its centre."""
    return [max(1, min(d, n - 1)) for d, n in zip(dilation, size, strict=True)]


def planned_dilations(
    patch_size: Sequence[int], strides: Sequence[Sequence[int]], dilations: Sequence[int] = DILATIONS
) -> list[list[int]]:
    """The dilations per branch and axis that fit the bottleneck of a planned patch.

    Args:
        patch_size: voxels per axis.
        strides: stage by stage, per axis, as in a plan's `arch_kwargs`.
        dilations: one rate per dilated branch.
    """
    total = [math.prod(axis) for axis in zip(*strides, strict=True)]
    bottleneck = [math.ceil(n / stride) for n, stride in zip(patch_size, total, strict=True)]
    return [capped([rate] * len(bottleneck), bottleneck) for rate in dilations]


class DilatedConvNormReLU(ConvDropoutNormReLU):
    """nnU-Net's convolution block with a dilation per axis and "same" padding.

    `dilation` is taken as it is when `fixed`, else capped by the map that comes in: without a planned patch,
    the map is all that is known.
    """

    def __init__(self, *args, dilation: Sequence[int], fixed: bool, **kwargs):
        super().__init__(*args, **kwargs)
        self.dilation = list(dilation)
        self.fixed = fixed
        self.convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[len(self.dilation) - 1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        dilation = self.dilation if self.fixed else capped(self.dilation, x.shape[2:])
        padding = [d * (k - 1) // 2 for d, k in zip(dilation, self.conv.kernel_size, strict=True)]
        x = self.convolve(x, self.conv.weight, self.conv.bias, padding=padding, dilation=dilation)
        return self.all_modules[1:](x)


class ASPP(nn.Module):
    """1x1x1, dilated and globally pooled branches, concatenated and projected; (B, in, *size) to (B, out, *size).

    The branches have half the incoming features. The pooled branch is normalised over its features (GroupNorm):
    on one voxel InstanceNorm raises in training, BatchNorm does at batch 1.

    Args:
        input_channels, output_channels, conv_op, kernel_size, conv_bias, norm_op, norm_op_kwargs, nonlin,
            nonlin_kwargs: as in dynamic_network_architectures' blocks; the kernel is that of the dilated branches.
        dilations: one int, or one int per axis, for each dilated branch; None is `DILATIONS`, capped at each
            forward pass by the map that comes in.
    """

    def __init__(
        self,
        input_channels: int,
        output_channels: int,
        conv_op: type[nn.Module],
        kernel_size: int | Sequence[int],
        conv_bias: bool,
        norm_op: type[nn.Module] | None,
        norm_op_kwargs: dict | None,
        nonlin: type[nn.Module] | None,
        nonlin_kwargs: dict | None,
        dilations: Sequence[int | Sequence[int]] | None = None,
    ):
        super().__init__()
        dim = convert_conv_op_to_dim(conv_op)
        rates = [maybe_convert_scalar_to_list(conv_op, rate) for rate in dilations or DILATIONS]
        if any(len(rate) != dim or min(rate) < 1 for rate in rates):
            raise ValueError(f"aspp_dilations must hold ints, or {dim} ints per branch, of at least 1, not {dilations}")
        features = max(1, input_channels // 2)
        shared = {"conv_bias": conv_bias, "nonlin": nonlin, "nonlin_kwargs": nonlin_kwargs}
        normed = {"norm_op": norm_op, "norm_op_kwargs": norm_op_kwargs, **shared}
        self.pointwise = ConvDropoutNormReLU(conv_op, input_channels, features, 1, 1, **normed)
        self.dilated = nn.ModuleList(
            DilatedConvNormReLU(
                conv_op, input_channels, features, kernel_size, 1, dilation=rate, fixed=dilations is not None, **normed
            )
            for rate in rates
        )
        pooled_norm = None if norm_op is None else partial(nn.GroupNorm, 1)
        self.pooled = ConvDropoutNormReLU(conv_op, input_channels, features, 1, 1, norm_op=pooled_norm, **shared)
        self.project = ConvDropoutNormReLU(conv_op, features * (len(rates) + 2), output_channels, 1, 1, **normed)
        self.dropout = get_matching_dropout(dimension=dim)(DROPOUT)
        self.output_channels = output_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled = self.pooled(x.mean(dim=tuple(range(2, x.ndim)), keepdim=True)).expand(-1, -1, *x.shape[2:])
        branches = [self.pointwise(x), *(branch(x) for branch in self.dilated), pooled]
        return self.dropout(self.project(torch.cat(branches, dim=1)))

    def compute_conv_feature_map_size(self, input_size: Sequence[int]) -> int:
        """Values in the outputs of all convolutions for a map of `input_size`."""
        channels = self.pointwise.output_channels * (1 + len(self.dilated)) + self.output_channels
        return channels * math.prod(input_size) + self.pooled.output_channels
