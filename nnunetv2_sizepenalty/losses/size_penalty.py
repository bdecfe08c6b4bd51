"""The size penalty as a term of a compound loss, and as a loss that any PyTorch code can use."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nnunetv2_sizepenalty.losses.distributed import global_sums
from nnunetv2_sizepenalty.losses.terms import SMOOTH, size_penalty
from nnunetv2_sizepenalty.losses.volumes import Batch


@dataclass(frozen=True)
class SizeTerm:
    """S of each pair of sample and channel, a function of V_p and V_g alone: what a variant of S replaces.

    tau: voxels at which the weight has fallen to exp(-1). cap: the highest penalty of a pair.
    """

    tau: float = 600.0
    cap: float = 10.0
    smooth: float = SMOOTH

    def __post_init__(self):
        if self.tau <= 0 or self.cap <= 0:
            raise ValueError(f"tau and cap must be positive, got tau {self.tau} and cap {self.cap}")

    def __call__(self, predicted: Tensor, reference: Tensor, voxel_ratio: float = 1.0) -> Tensor:
        """Penalty of each pair; `voxel_ratio`: voxels here per voxel of full resolution, which tau counts."""
        return size_penalty(predicted, reference, self.tau * voxel_ratio, self.cap, self.smooth)

    def saturated(self, penalty: Tensor) -> Tensor:
        """Where the cap is reached, so that the gradient is 0."""
        return penalty >= self.cap


def mean_over_lesions(penalty: Tensor, reference: Tensor, ddp: bool = False) -> Tensor:
    """Mean over the pairs with V_g > 0, of all processes with `ddp`; 0 with a zero gradient where there are none."""
    positive = reference > 0
    total, count = torch.where(positive, penalty, 0).sum(), positive.sum(dtype=penalty.dtype)
    total, count = global_sums(total, count, ddp=ddp)
    return total / count.clamp(min=1)


class SizePenaltyLoss(nn.Module):
    """exp(-V_g / tau) |V_p - V_g| / (V_g + smooth), capped: the thesis's class (section 3.3) for any PyTorch code.

    Sees volumes alone, so it needs a spatial loss beside it. A pair whose penalty reached `cap` gives no gradient.

    >>> loss = SizePenaltyLoss()
    >>> mask = torch.zeros(1, 1, 8, 8)
    >>> mask[..., :2, :2] = 1
    >>> round(loss(torch.full((1, 1, 8, 8), -100.0), mask).item(), 4)  # an empty prediction costs exp(-4 / 600)
    0.9934
    """

    def __init__(self, tau: float = 600.0, smooth: float = 1e-5, cap: float = 10.0):
        super().__init__()
        self.term = SizeTerm(tau, cap, smooth)

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Mean over the pairs of sample and channel that hold a lesion.

        Args:
            logits: (B, C, *spatial), before the sigmoid, any number of spatial dimensions.
            mask: binary, of the same shape, any type.

        Raises:
            ValueError: the shapes differ.
        """
        volumes, _ = Batch.of(logits, mask, regions=True, ignore_label=None).measure()
        return mean_over_lesions(self.term(volumes.predicted, volumes.reference), volumes.reference)
