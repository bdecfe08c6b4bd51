"""The way up: upsample, gate the skip, convolve; a head at every resolution, as in nnU-Net's decoder."""

import math
from collections.abc import Sequence

import torch
from dynamic_network_architectures.building_blocks.helper import get_matching_convtransp
from dynamic_network_architectures.building_blocks.plain_conv_encoder import PlainConvEncoder
from dynamic_network_architectures.building_blocks.residual_encoders import ResidualEncoder
from dynamic_network_architectures.building_blocks.simple_conv_blocks import StackedConvBlocks
from torch import nn

from nnunetv2_sizepenalty.architectures.attention_gate import AttentionGate


def cropped(x: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """The first `size` voxels of each spatial axis."""
    return x[(..., *(slice(n) for n in size))]


class AttentionDecoder(nn.Module):
    """Takes the bottleneck and the encoder's skips, returns logits; attribute names are nnU-Net's `UNetDecoder`'s.

    Stages are in the order of computation, the lowest resolution first. Heads are always built, so that weights load
    with deep supervision on or off.

    Args:
        encoder: gives the skips; its features, kernels, norm and nonlinearity are used here too.
        bottleneck_channels: features of the bottleneck.
        strides: of the stages 1 to n, the bottleneck's last.
        num_classes: heads' channels.
        n_conv_per_stage: convolutions per stage, the lowest resolution first.
        deep_supervision: return all heads' logits, the highest resolution first.
    """

    def __init__(
        self,
        encoder: PlainConvEncoder | ResidualEncoder,
        bottleneck_channels: int,
        strides: Sequence[Sequence[int]],
        num_classes: int,
        n_conv_per_stage: Sequence[int],
        deep_supervision: bool,
    ):
        super().__init__()
        self.strides = strides
        self.num_classes = num_classes
        upsample = get_matching_convtransp(conv_op=encoder.conv_op)
        self.transpconvs, self.gates = nn.ModuleList(), nn.ModuleList()
        self.stages, self.seg_layers = nn.ModuleList(), nn.ModuleList()
        below = bottleneck_channels
        for stage, n_conv in zip(reversed(range(len(encoder.output_channels))), n_conv_per_stage, strict=True):
            features, stride = encoder.output_channels[stage], strides[stage + 1]
            self.transpconvs.append(upsample(below, features, stride, stride, bias=True))
            self.gates.append(AttentionGate(features, encoder.conv_op, encoder.norm_op, encoder.norm_op_kwargs))
            self.stages.append(
                StackedConvBlocks(
                    n_conv,
                    encoder.conv_op,
                    2 * features,
                    features,
                    encoder.kernel_sizes[stage],
                    1,
                    encoder.conv_bias,
                    encoder.norm_op,
                    encoder.norm_op_kwargs,
                    encoder.dropout_op,
                    encoder.dropout_op_kwargs,
                    encoder.nonlin,
                    encoder.nonlin_kwargs,
                )
            )
            self.seg_layers.append(encoder.conv_op(features, num_classes, 1, bias=True))
            below = features
        self.deep_supervision = deep_supervision

    @property
    def deep_supervision(self) -> bool:
        """nnU-Net switches it here. Heads that are not used take no gradient: DDP would wait for it for ever."""
        return self._deep_supervision

    @deep_supervision.setter
    def deep_supervision(self, enabled: bool) -> None:
        self._deep_supervision = enabled
        self.seg_layers[:-1].requires_grad_(enabled)

    def forward(self, bottleneck: torch.Tensor, skips: Sequence[torch.Tensor]) -> torch.Tensor | list[torch.Tensor]:
        """Logits of the input's size; with deep supervision a list, the highest resolution first."""
        x, outputs = bottleneck, []
        for skip, transpconv, gate, stage, head in zip(
            reversed(skips), self.transpconvs, self.gates, self.stages, self.seg_layers, strict=True
        ):
            # An odd size was rounded up on the way down.
            x = cropped(transpconv(x), skip.shape[2:])
            x = stage(torch.cat((gate(x, skip), x), dim=1))
            if self._deep_supervision or head is self.seg_layers[-1]:
                outputs.append(head(x))
        if not self._deep_supervision:
            return outputs[0]
        sizes = self._target_sizes(outputs[-1].shape[2:])
        return [cropped(output, size) for output, size in zip(reversed(outputs), sizes, strict=True)]

    def _target_sizes(self, size: Sequence[int]) -> list[list[int]]:
        """Sizes that nnU-Net's DownsampleSegForDSTransform gives a target: rounded, where odd sizes go up here."""
        scale = [1] * len(size)
        sizes = []
        for stride in self.strides[:-1]:
            scale = [a * b for a, b in zip(scale, stride, strict=True)]
            sizes.append([round(n * (1 / s)) for n, s in zip(size, scale, strict=True)])
        return sizes

    def compute_conv_feature_map_size(self, skip_sizes: Sequence[Sequence[int]]) -> int:
        """Values in the outputs of all convolutions, given the skips' sizes, the highest resolution first."""
        total = 0
        for size, stage, gate, head in zip(reversed(skip_sizes), self.stages, self.gates, self.seg_layers, strict=True):
            total += stage.output_channels * math.prod(size)
            total += int(stage.compute_conv_feature_map_size(size)) + gate.compute_conv_feature_map_size(size)
            if self._deep_supervision or head is self.seg_layers[-1]:
                total += self.num_classes * math.prod(size)
        return total
