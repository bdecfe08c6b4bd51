"""The formula of every loss term, each in this one place; `terms` names them, `size_penalty` puts those of S together.

Formulas of volumes (D, T, S) take V_p, V_g and TP, tensors of one value a pair of sample and foreground channel (or of
one value a channel, summed over the batch), and return a tensor of that shape; autograd differentiates them, since
these tensors are tiny. Formulas of voxels (F, C) state their derivative: autograd would store each of their steps.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from nnunetv2_sizepenalty.losses.parameters import ALPHA, FALSE_NEGATIVES, GAMMA
from nnunetv2_sizepenalty.losses.size_term import GATE_FLOOR, SMOOTH

# nnU-Net's least denominator of a Dice
GUARD = 1e-8


def dice(predicted: Tensor, reference: Tensor, overlap: Tensor, smooth: float = SMOOTH) -> Tensor:
    """1 - (2 TP + s) / (V_p + V_g + s): nnU-Net's MemoryEfficientSoftDiceLoss plus one (Milletari et al. 2016).

    Without smoothing nnU-Net's guard against a division by 0 remains.
    """
    volumes = predicted + reference + smooth
    return 1 - (2 * overlap + smooth) / (volumes if smooth else volumes.clamp(min=GUARD))


def tversky(
    predicted: Tensor,
    reference: Tensor,
    overlap: Tensor,
    smooth: float = SMOOTH,
    false_negatives: float = FALSE_NEGATIVES,
    power: float = 1.0,
) -> Tensor:
    """1 - (TP + s) / (TP + a FP + b FN + s), FP = V_p - TP, FN = V_g - TP (Salehi et al. 2017; thesis table A.1).

    a is 1 - b; to a power below 1 nearly perfect overlap keeps a gradient (focal Tversky, Abraham and Khan 2019).
    """
    false_positives = round(1 - false_negatives, 12)
    errors = false_positives * (predicted - overlap) + false_negatives * (reference - overlap)
    found = overlap + smooth
    if power == 1:
        return 1 - found / (found + errors if smooth else (found + errors).clamp(min=GUARD))
    # errors / (found + errors) is the same without the difference's rounding; its power has no slope at 0
    share = errors / (found + errors).clamp(min=GUARD)
    return torch.where(share > GUARD, share.clamp(min=GUARD) ** power, 0)


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


def focal_of_any_power(gamma: float, wrong: Tensor, entropy: Tensor) -> tuple[Tensor, Tensor]:
    """q^gamma e, and its slope q^gamma (gamma (1 - q) e / q + 1), where e / q is 1 for q = 0."""
    share = wrong**gamma
    ratio = torch.where(wrong > 0, entropy / wrong, 1)
    return share * entropy, share * (gamma * (1 - wrong) * ratio + 1)


def focal_term(gamma: float = GAMMA, alpha: float = ALPHA) -> VoxelTerm:
    """Returns the focal loss (Lin et al. 2017), alpha on foreground and 1 - alpha on background (thesis table A.1)."""
    value_and_slope = focal if gamma == 2 else partial(focal_of_any_power, gamma)
    return VoxelTerm(value_and_slope, foreground=alpha, background=1 - alpha)


def cross_entropy_term() -> VoxelTerm:
    """Returns nnU-Net's cross-entropy."""
    return VoxelTerm(sums_regions_if_ignoring=True)


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
