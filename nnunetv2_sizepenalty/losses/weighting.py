"""How much S weighs beside its partners: fixed, held in balance with their gradients, or learned."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from nnunetv2_sizepenalty.losses.diagnostics import squared_gradient_norms
from nnunetv2_sizepenalty.losses.distributed import global_sums

# S of large lesions alone is small by design (exp(-V_g / tau)): balance must not undo that
LARGEST_BALANCED = 10.0


def balancing_weight(share: float, terms: Mapping[str, Tensor], logits: Tensor, ddp: bool) -> Tensor:
    """The factor on S at which its logit gradient's norm is `share` of the sum of its partners', of all processes.

    Args:
        share: the wanted ratio of norms.
        terms: the partners with their weights, and S without.
        logits: of float32 or better, which `terms` were computed from.

    Returns:
        A scalar without gradient, at most `LARGEST_BALANCED`; `share` itself where S has no gradient, so that its value
        stays readable.
    """
    squares = squared_gradient_norms(terms, [logits])
    letters = list(squares)
    norms = dict(zip(letters, global_sums(*(squares[letter] for letter in letters), ddp=ddp), strict=True))
    own = norms.pop("S").sqrt()
    partners = sum(square.sqrt() for square in norms.values())
    return torch.where(own > 0, share * partners / own, share).clamp(max=LARGEST_BALANCED)


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
        """The term; 0 where the batch holds no `lesions`, which say nothing of S's variance."""
        return (self.factor * penalty + self.log_variance) * (lesions > 0)
