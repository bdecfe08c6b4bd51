"""How much S weighs beside its partners where its weight is not fixed: in balance with their gradients, or learned."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from nnunetv2_sizepenalty.losses.distributed import global_max, global_sums
from nnunetv2_sizepenalty.losses.gradients import squared_norm, term_gradients

# S of large lesions alone is small by design (exp(-V_g / tau)): balance must not undo that
LARGEST_BALANCED = 10.0
# below 0.5: at a loss scale of 65,536, torch's first, it takes half of what float16 holds and leaves the other half
LARGEST_LOGIT_GRADIENT = 0.499


def balancing_weight(share: float, terms: Mapping[str, Tensor], logits: Tensor, ddp: bool) -> Tensor:
    """Returns the factor on S at which its logit gradient's norm is `share` of the sum of its partners'.

    Args:
        share: the wanted ratio of norms.
        terms: the partners with their weights, and S without.
        logits: of float32 or better, which `terms` were computed from.
        ddp: the norms are of all processes' batches.

    Returns:
        A scalar without gradient, the same in all processes: at most `LARGEST_BALANCED`, and so small that no logit's
        gradient of S exceeds `LARGEST_LOGIT_GRADIENT`; `share` itself where S has no gradient, so that its value stays
        readable.
    """
    squares = {}
    for letter, (gradient,) in term_gradients(terms, [logits]):
        squares[letter] = squared_norm([gradient])
        if letter == "S":
            least, most = gradient.aminmax()  # the norm of infinite order takes twenty times as long
            largest = torch.maximum(least.abs(), most.abs())
    norms = dict(zip(squares, global_sums(*squares.values(), ddp=ddp), strict=True))
    own = norms.pop("S").sqrt()
    partners = sum(square.sqrt() for square in norms.values())
    factor = torch.where(own > 0, share * partners / own, share).clamp(max=LARGEST_BALANCED)
    return torch.minimum(factor, LARGEST_LOGIT_GRADIENT / global_max(largest, ddp=ddp))


class LearnedWeight(nn.Module):
    """Homoscedastic weighting exp(-s) S + s of one trained s, the log of S's variance (Kendall et al. 2018)."""

    def __init__(self, start: float):
        super().__init__()
        self.log_variance = nn.Parameter(-torch.tensor(start).log())

    @property
    def factor(self) -> Tensor:
        """exp(-s), which is `start` at first."""
        return torch.exp(-self.log_variance)

    def forward(self, penalty: Tensor, lesions: Tensor) -> Tensor:
        """Returns the term; 0 where the batch holds no `lesions`, which say nothing of S's variance."""
        return (self.factor * penalty + self.log_variance) * (lesions > 0)
