"""The additive attention gate of Oktay et al. 2018 (arXiv:1804.03999), on one skip connection."""

import math
from collections.abc import Sequence

import torch
from torch import nn


class AttentionGate(nn.Module):
    """Weighs a skip by sigmoid(psi(ReLU(W_g g + W_x x))), a map of one channel.

    The gating signal g is the upsampled feature, so it has the skip's channels and size and nothing is
    interpolated. psi is not normalised: an instance norm on one channel would give every map the same mean.

    Args:
        channels: of the skip and of the gating signal.
        conv_op, norm_op, norm_op_kwargs: as in dynamic_network_architectures' blocks.
    """

    def __init__(
        self, channels: int, conv_op: type[nn.Module], norm_op: type[nn.Module] | None, norm_op_kwargs: dict | None
    ):
        super().__init__()
        self.hidden = max(1, channels // 2)

        def projection() -> nn.Sequential:
            norm = [] if norm_op is None else [norm_op(self.hidden, **(norm_op_kwargs or {}))]
            return nn.Sequential(conv_op(channels, self.hidden, 1, bias=True), *norm)

        self.project_gating = projection()
        self.project_skip = projection()
        self.psi = conv_op(self.hidden, 1, 1, bias=True)

    def attention(self, gating: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """The weights in (0, 1), shape (B, 1, *size)."""
        return self.psi((self.project_gating(gating) + self.project_skip(skip)).relu()).sigmoid()

    def forward(self, gating: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        return skip * self.attention(gating, skip)

    def compute_conv_feature_map_size(self, input_size: Sequence[int]) -> int:
        """Values in the outputs of the three convolutions."""
        return (2 * self.hidden + 1) * math.prod(input_size)
