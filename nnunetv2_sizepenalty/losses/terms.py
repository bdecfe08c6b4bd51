"""The formula of every loss term, each in this one place.

Terms of volumes (D, T, S) take V_p, V_g and TP, tensors of one value a pair of sample and foreground channel (or of one
value a channel, summed over the batch), and return a tensor of that shape; autograd differentiates them, since these
tensors are tiny. Terms of voxels (F, C) state their derivative as well: autograd would store each of their steps.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

SMOOTH = 1e-5


def dice(predicted: Tensor, reference: Tensor, overlap: Tensor) -> Tensor:
    """1 - (2 TP + s) / (V_p + V_g + s): nnU-Net's MemoryEfficientSoftDiceLoss plus one (Milletari et al. 2016)."""
    return 1 - (2 * overlap + SMOOTH) / (predicted + reference + SMOOTH)


def tversky(
    predicted: Tensor, reference: Tensor, overlap: Tensor, false_positives: float = 0.3, false_negatives: float = 0.7
) -> Tensor:
    """1 - (TP + s) / (TP + a FP + b FN + s), FP = V_p - TP, FN = V_g - TP (Salehi et al. 2017; thesis table A.1)."""
    missed, surplus = reference - overlap, predicted - overlap
    return 1 - (overlap + SMOOTH) / (overlap + false_positives * surplus + false_negatives * missed + SMOOTH)


def size_weight(reference: Tensor, tau: float) -> Tensor:
    """exp(-V_g / tau): 1 for the smallest lesion, 0.37 at tau voxels (thesis section 3.4)."""
    return torch.exp(-reference / tau)


def relative_volume_error(predicted: Tensor, reference: Tensor, smooth: float = SMOOTH) -> Tensor:
    """|V_p - V_g| / (V_g + s) (thesis section 3.5)."""
    return (predicted - reference).abs() / (reference + smooth)


def hard_cap(penalty: Tensor, cap: float) -> Tensor:
    """min(c, penalty), with a gradient of exactly 0 once the cap is reached (thesis section 3.5)."""
    return torch.where(penalty < cap, penalty, cap)


def size_penalty(
    predicted: Tensor, reference: Tensor, tau: float = 600.0, cap: float = 10.0, smooth: float = SMOOTH
) -> Tensor:
    """min(c, exp(-V_g / tau) |V_p - V_g| / (V_g + s)), of pairs that hold a lesion (thesis section 3.2)."""
    return hard_cap(size_weight(reference, tau) * relative_volume_error(predicted, reference, smooth), cap)


@dataclass(frozen=True)
class VoxelTerm:
    """A function of a voxel's cross-entropy e = -log(1 - q), where q is the probability that the wrong classes get.

    value: f(q, e); slope: df/de as a function of (q, 1 - q, e), or None where it is 1.
    foreground, background: factor on voxels of either kind.
    """

    value: Callable[[Tensor, Tensor], Tensor]
    slope: Callable[[Tensor, Tensor, Tensor], Tensor] | None
    foreground: float = 1.0
    background: float = 1.0


# (Lin et al. 2017, thesis table A.1): gamma 2; alpha 0.25 on foreground
FOCAL = VoxelTerm(
    value=lambda wrong, entropy: wrong.square().mul_(entropy),
    slope=lambda wrong, right, entropy: torch.mul(right, entropy).mul_(2).add_(wrong).mul_(wrong),
    foreground=0.25,
    background=0.75,
)

CROSS_ENTROPY = VoxelTerm(value=lambda wrong, entropy: entropy, slope=None)


def top_share(voxelwise: Tensor, percent: float = 10) -> Tensor:
    """Mean of the highest `percent` % of the values, ignored voxels (which hold 0) counted: nnU-Net's TopKLoss."""
    count = max(1, int(voxelwise.numel() * percent / 100))
    return voxelwise.flatten().topk(count, sorted=False).values.mean()
