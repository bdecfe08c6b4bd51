"""Deep supervision: a loss at every scale, each told how many voxels it has."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from nnunetv2_sizepenalty.losses.compound import CompoundLoss
from nnunetv2_sizepenalty.losses.record import Record
from nnunetv2_sizepenalty.losses.size_term import SizeTerm
from nnunetv2_sizepenalty.losses.weighting import LearnedWeight


class DeepSupervision(nn.Module):
    """Weighted sum of a loss over scales, as nnU-Net's DeepSupervisionWrapper; tau shrinks with a scale's voxels.

    A voxel of a coarse scale stands for several of the full resolution, so the lesion that holds V_g voxels there holds
    V_g times the voxel ratio here, and so must tau. nnU-Net's own wrapper does not tell the loss, and S would weigh
    every lesion as small there.

    Args:
        loss: the loss of one scale.
        scale_weights: one factor a scale, finest first; scales of weight 0 are not computed.
    """

    def __init__(self, loss: CompoundLoss, scale_weights: Sequence[float]):
        super().__init__()
        # nnU-Net's weights of a network with a single scale are 0 / 0
        if not any(scale_weights) or not all(math.isfinite(weight) for weight in scale_weights):
            raise ValueError(f"weights of scales must be finite and not all 0, got {list(scale_weights)}")
        self.loss = loss
        self.scale_weights = tuple(float(weight) for weight in scale_weights)
        self.last: Record | None = None

    @property
    def weights(self) -> dict[str, float]:
        """Letter -> weight, of the wrapped loss."""
        return self.loss.weights

    @property
    def learned(self) -> LearnedWeight | None:
        """The learned weight of the wrapped loss, one for all scales."""
        return self.loss.learned

    @property
    def size_term(self) -> SizeTerm:
        """S of the wrapped loss, at full resolution."""
        return self.loss.size_term

    def set_tau(self, tau: float) -> None:
        """Sets tau of S, in voxels of full resolution."""
        self.loss.set_tau(tau)

    def forward(self, net_outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        """Returns the loss over all scales, finest first; `last` is the record of the finest that has a weight."""
        total, self.last = 0.0, None
        for weight, *scale in self._scales(net_outputs, targets):
            total = total + weight * self.loss(*scale)
            self.last = self.last or self.loss.last
        return total

    def weighted_terms(self, net_outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> dict[str, Tensor]:
        """Returns each term with its own weight, summed over the scales with theirs; leaves `last` as it is."""
        totals = dict.fromkeys(self.weights, 0.0)
        for weight, *scale in self._scales(net_outputs, targets):
            for letter, term in self.loss.weighted_terms(*scale).items():
                totals[letter] = totals[letter] + weight * term
        return totals

    def _scales(self, net_outputs: Sequence[Tensor], targets: Sequence[Tensor]):
        """(weight, logits, target, voxel ratio to the first scale) of each scale that counts."""
        full = net_outputs[0].shape[2:].numel()
        for weight, logits, target in zip(self.scale_weights, net_outputs, targets, strict=True):
            if weight:
                yield weight, logits, target, logits.shape[2:].numel() / full
