"""The size penalty of volumes, its mean over a batch, and the loss that any PyTorch code can use."""

import torch
from torch import Tensor, nn

from nnunetv2_sizepenalty.losses import formulas
from nnunetv2_sizepenalty.losses.distributed import global_sums
from nnunetv2_sizepenalty.losses.size_term import AUTO, CAP, SMOOTH, TAU, Gate, SizeTerm
from nnunetv2_sizepenalty.losses.sums.volumes import Batch


def size_penalty(term: SizeTerm, predicted: Tensor, reference: Tensor, voxel_ratio: float = 1.0) -> Tensor:
    """Returns g(V) cap(exp(-V_g / tau) error) of each pair.

    Args:
        term: tau and gate in voxels of full resolution.
        predicted: V_p, in voxels.
        reference: V_g, of the same shape.
        voxel_ratio: voxels here per voxel of full resolution.

    >>> size_penalty(SizeTerm(tau=600.0), torch.tensor([0.0, 90.0]), torch.tensor([60.0, 60.0]))
    tensor([0.9048, 0.4524])
    """
    cap = formulas.soft_cap if term.soft_cap else formulas.hard_cap
    penalty = cap(uncapped_penalty(term, predicted, reference, voxel_ratio), term.cap)
    return penalty if term.gate is None else penalty * gate_factor(term.gate, predicted, reference, voxel_ratio)


def uncapped_penalty(term: SizeTerm, predicted: Tensor, reference: Tensor, voxel_ratio: float = 1.0) -> Tensor:
    """Returns exp(-V_g / tau) times the error of each pair; arguments as of `size_penalty`.

    Raises:
        ValueError: tau is not known yet.
    """
    tau = known_tau(term)
    if term.log_ratio:
        error = formulas.log_volume_ratio(predicted, reference, voxel_ratio)
    else:
        error = formulas.relative_volume_error(predicted, reference, term.smooth)
    return formulas.size_weight(reference, tau * voxel_ratio) * error


def known_tau(term: SizeTerm) -> float:
    """Returns tau in voxels of full resolution.

    Raises:
        ValueError: it is not known yet.
    """
    if term.tau == AUTO:
        raise ValueError("tau is to be estimated from the training cases: give the loss its number of voxels first")
    return term.tau


def gate_factor(gate: Gate, predicted: Tensor, reference: Tensor, voxel_ratio: float = 1.0) -> Tensor:
    """Returns g(V) of each pair, without a gradient; arguments as of `size_penalty`."""
    volume = reference if gate.by == "reference" else predicted.detach()
    limit = gate.voxels * voxel_ratio
    return formulas.hard_gate(volume, limit) if gate.hard else formulas.gate(volume, limit, gate.floor)


def is_saturated(term: SizeTerm, predicted: Tensor, reference: Tensor, voxel_ratio: float = 1.0) -> Tensor:
    """Tells where the cap is reached before it is applied: no gradient there, with `soft_cap` at most 0.37 of it."""
    return uncapped_penalty(term, predicted, reference, voxel_ratio) >= term.cap


def mean_over_lesions(penalty: Tensor, reference: Tensor, ddp: bool = False) -> tuple[Tensor, Tensor]:
    """Returns the mean over the pairs with V_g > 0 (or true), of all processes with `ddp`, and their number.

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

    def __init__(self, tau: float = TAU, smooth: float = SMOOTH, cap: float = CAP):
        super().__init__()
        self.term = SizeTerm(tau, cap, smooth=smooth)

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Returns the mean over the pairs of sample and channel that hold a lesion.

        Args:
            logits: (B, C, *spatial), before the sigmoid, any number of spatial dimensions.
            mask: binary, of the same shape, any type.

        Raises:
            ValueError: the shapes differ.
        """
        volumes, _ = Batch.of(logits, mask, regions=True, ignore_label=None).measure()
        penalty = size_penalty(self.term, volumes.predicted, volumes.reference)
        return mean_over_lesions(penalty, volumes.reference)[0]
