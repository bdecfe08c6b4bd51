"""The formula of every loss term, each in this one place; `terms` names them, `size_penalty` puts those of S together.

Formulas of volumes (D, T, S) take V_p, V_g and TP, tensors of one value a pair of sample and foreground channel (or of
one value a channel, summed over the batch), and return a tensor of that shape; autograd differentiates them, since
these tensors are tiny. Formulas of voxels (F, C) state their derivative: autograd would store each of their steps.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nnunetv2_sizepenalty.losses.size_term import GATE_FLOOR, SMOOTH


def dice(predicted: Tensor, reference: Tensor, overlap: Tensor) -> Tensor:
    """1 - (2 TP + s) / (V_p + V_g + s): nnU-Net's MemoryEfficientSoftDiceLoss plus one (Milletari et al. 2016)."""
    return 1 - (2 * overlap + SMOOTH) / (predicted + reference + SMOOTH)


def tversky(
    predicted: Tensor, reference: Tensor, overlap: Tensor, false_positives: float = 0.3, false_negatives: float = 0.7
) -> Tensor:
    """1 - (TP + s) / (TP + a FP + b FN + s), FP = V_p - TP, FN = V_g - TP (Salehi et al. 2017; thesis table A.1)."""
    errors = false_positives * (predicted - overlap) + false_negatives * (reference - overlap)
    found = overlap + SMOOTH
    return 1 - found / (found + errors)


def size_weight(reference: Tensor, tau: float) -> Tensor:
    """exp(-V_g / tau): 1 for the smallest lesion, 0.37 at tau voxels (thesis section 3.4)."""
    return torch.exp(-reference / tau)


def relative_volume_error(predicted: Tensor, reference: Tensor, smooth: float = SMOOTH) -> Tensor:
    """|V_p - V_g| / (V_g + s) (thesis section 3.5)."""
    return (predicted - reference).abs() / (reference + smooth)


def log_volume_ratio(predicted: Tensor, reference: Tensor, unit: float = 1.0) -> Tensor:
    """|log((V_p + u) / (V_g + u))|, u one voxel: half and twice the volume cost the same, nothing predicted more."""
    return ((predicted + unit) / (reference + unit)).log().abs()


def hard_cap(penalty: Tensor, cap: float) -> Tensor:
    """min(c, penalty), with a gradient of exactly 0 once the cap is reached (thesis section 3.5); NaN stays NaN."""
    return torch.where(penalty >= cap, cap, penalty)


def soft_cap(penalty: Tensor, cap: float) -> Tensor:
    """c (1 - exp(-penalty / c)): below c as well, but with a gradient that fades instead of ending."""
    return -cap * torch.expm1(-penalty / cap)


def hard_gate(volume: Tensor, limit: float) -> Tensor:
    """1 up to the limit, 0 above: the size term switched off for large lesions (thesis section 6.5)."""
    return (volume <= limit).to(volume.dtype)


def gate(volume: Tensor, limit: float, floor: float = GATE_FLOOR) -> Tensor:
    """1 up to the limit L, floor + (1 - floor) exp(-((V - L) / L)^2) above: smooth, also at L (thesis section 6.4)."""
    above = (volume / limit - 1).clamp(min=0)
    return floor + (1 - floor) * torch.exp(-above.square())


@dataclass(frozen=True)
class VoxelTerm:
    """A function f of a voxel's cross-entropy e = -log(1 - q), where q is the probability that the wrong classes get.

    value_and_slope: (q, e) to f and df/de, which may overwrite e; None for e itself, of slope 1.
    foreground, background: factor on voxels of either kind.
    sums_regions_if_ignoring: with regions and an ignore label its mean is over voxels of the sum over regions, as in
        nnU-Net's DC_and_BCE_loss.
    """

    value_and_slope: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None
    foreground: float = 1.0
    background: float = 1.0
    sums_regions_if_ignoring: bool = False


def focal(wrong: Tensor, entropy: Tensor) -> tuple[Tensor, Tensor]:
    """q^2 e, by which an easy voxel hardly counts (gamma 2; Lin et al. 2017), and its slope 2 q (1 - q) e + q^2."""
    wrong_entropy = entropy.mul_(wrong)
    value = wrong * wrong_entropy
    double = wrong_entropy.mul_(2)
    return value, torch.lerp(double, wrong, wrong, out=double)


# alpha 0.25 on foreground (thesis table A.1)
FOCAL = VoxelTerm(focal, foreground=0.25, background=0.75)
CROSS_ENTROPY = VoxelTerm(sums_regions_if_ignoring=True)


def entropy_of(wrong: Tensor) -> Tensor:
    """e = -log(1 - q) for q up to rows.CONFIDENT, to the last digits also where 1 - q rounds to 1.

    The same as -log1p(-q), for which PyTorch takes ten times as long as for log on some processors.
    """
    right = 1 - wrong
    rounded_off = (right - 1).add_(wrong)
    return rounded_off.sub_(right.log_())


def top_share(voxelwise: Tensor, percent: float = 10) -> Tensor:
    """Mean of the highest `percent` % of the values, ignored voxels (which hold 0) counted: nnU-Net's TopKLoss."""
    count = max(1, int(voxelwise.numel() * percent / 100))
    return voxelwise.flatten().topk(count, sorted=False).values.mean()
