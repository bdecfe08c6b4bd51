"""The size penalty as a term of a compound loss, and as a loss that any PyTorch code can use."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from nnunetv2_sizepenalty.losses import terms
from nnunetv2_sizepenalty.losses.distributed import global_sums
from nnunetv2_sizepenalty.losses.volumes import Batch


@dataclass(frozen=True)
class Gate:
    """Factor on S of each pair: 1 up to a volume, less above it (thesis sections 6.4 and 6.5).

    voxels: the volume. by: what is held against it, V_g or the detached V_p. hard: 0 above it, else down to `floor`.
    """

    voxels: float
    by: Literal["reference", "predicted"] = "reference"
    hard: bool = False
    floor: float = 0.1

    def __call__(self, predicted: Tensor, reference: Tensor, voxel_ratio: float = 1.0) -> Tensor:
        """The factor of each pair; the arguments are those of `SizeTerm`."""
        volume = reference if self.by == "reference" else predicted.detach()
        limit = self.voxels * voxel_ratio
        return terms.hard_gate(volume, limit) if self.hard else terms.gate(volume, limit, self.floor)


@dataclass(frozen=True)
class SizeTerm:
    """S of each pair of sample and channel, a function of V_p and V_g alone: g(V) cap(exp(-V_g / tau) error).

    tau: voxels at which the weight has fallen to exp(-1). cap: c, the highest penalty of a pair.
    log_ratio: the error is |log((V_p + 1) / (V_g + 1))|, else relative to V_g as in the thesis.
    soft_cap: c (1 - exp(-x / c)), else min(c, x) as in the thesis. gate: g, else 1.
    """

    tau: float = 600.0
    cap: float = 10.0
    smooth: float = terms.SMOOTH
    log_ratio: bool = False
    soft_cap: bool = False
    gate: Gate | None = None

    def __post_init__(self):
        if self.tau <= 0 or self.cap <= 0:
            raise ValueError(f"tau and cap must be positive, got tau {self.tau} and cap {self.cap}")

    def __call__(self, predicted: Tensor, reference: Tensor, voxel_ratio: float = 1.0) -> Tensor:
        """Penalty of each pair; `voxel_ratio`: voxels here per voxel of full resolution, which tau counts."""
        cap = terms.soft_cap if self.soft_cap else terms.hard_cap
        penalty = cap(self.uncapped(predicted, reference, voxel_ratio), self.cap)
        return penalty if self.gate is None else penalty * self.gate(predicted, reference, voxel_ratio)

    def uncapped(self, predicted: Tensor, reference: Tensor, voxel_ratio: float = 1.0) -> Tensor:
        """exp(-V_g / tau) times the error of each pair."""
        if self.log_ratio:
            error = terms.log_volume_ratio(predicted, reference, voxel_ratio)
        else:
            error = terms.relative_volume_error(predicted, reference, self.smooth)
        return terms.size_weight(reference, self.tau * voxel_ratio) * error

    def saturated(self, predicted: Tensor, reference: Tensor, voxel_ratio: float = 1.0) -> Tensor:
        """Where the cap is reached before it is applied: no gradient there, with `soft_cap` at most 0.37 of it."""
        return self.uncapped(predicted, reference, voxel_ratio) >= self.cap


def mean_over_lesions(penalty: Tensor, reference: Tensor, ddp: bool = False) -> tuple[Tensor, Tensor]:
    """Mean over the pairs with V_g > 0, of all processes with `ddp`, and their number.

    The mean is 0 with a zero gradient where there are none.
    """
    positive = reference > 0
    total, count = torch.where(positive, penalty, 0).sum(), positive.sum(dtype=penalty.dtype)
    total, count = global_sums(total, count, ddp=ddp)
    return total / count.clamp(min=1), count


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
        return mean_over_lesions(self.term(volumes.predicted, volumes.reference), volumes.reference)[0]
