"""What a training log wants to know of a loss, taken from what the loss computed anyway."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from nnunetv2_sizepenalty.losses.compound import CompoundLoss
    from nnunetv2_sizepenalty.losses.deep_supervision import DeepSupervision
    from nnunetv2_sizepenalty.losses.volumes import Volumes


@dataclass(frozen=True)
class Record:
    """One evaluation of a loss, detached, on the device of the logits; of this process's batch alone.

    terms: letter -> value without its weight (S and `batch_dice` of the global batch under DDP).
    predicted, reference: V_p and V_g in voxels, (B, C).
    positive: pairs that hold a lesion, bool (B, C).
    penalised: what S is the mean of, bool: `positive`, or with `per_lesion` the lesions, (n,); None without S.
    saturated: those of them whose S reached the cap; None without S.
    size_weight: the factor on S, a scalar; None without S.
    """

    terms: Mapping[str, Tensor]
    predicted: Tensor
    reference: Tensor
    positive: Tensor
    penalised: Tensor | None = None
    saturated: Tensor | None = None
    size_weight: Tensor | None = None

    @classmethod
    def of(
        cls,
        terms: Mapping[str, Tensor],
        volumes: "Volumes",
        penalised: Tensor | None = None,
        saturated: Tensor | None = None,
        size_weight: Tensor | None = None,
    ) -> "Record":
        """Detaches what the loss computed; the last three are None without S."""
        return cls(
            terms={letter: term.detach() for letter, term in terms.items()},
            predicted=volumes.predicted.detach(),
            reference=volumes.reference,
            positive=volumes.reference > 0,
            penalised=penalised,
            saturated=None if saturated is None else saturated & penalised,
            size_weight=None if size_weight is None else size_weight.detach(),
        )


def squared_gradient_norms(terms: Mapping[str, Tensor], logits: Sequence[Tensor]) -> dict[str, Tensor]:
    """Letter -> squared Euclidean norm of the term's gradient with respect to `logits`, whose graph is kept."""
    norms = {}
    for letter, term in terms.items():
        gradients = torch.autograd.grad(term, logits, retain_graph=True, allow_unused=True, materialize_grads=True)
        norms[letter] = torch.stack([torch.linalg.vector_norm(gradient) for gradient in gradients]).square().sum()
    return norms


def logit_gradient_norms(
    loss: "CompoundLoss | DeepSupervision", net_output: Tensor | Sequence[Tensor], target: Tensor | Sequence[Tensor]
) -> dict[str, float]:
    """Euclidean norm of each weighted term's gradient with respect to the logits of all scales, in float32.

    Costs a forward and one backward per term on top of the training step, so call it on a sample of the steps. The
    network's own gradients are not touched. Under DDP every process must call it.
    """
    single = isinstance(net_output, Tensor)
    leaves = [logits.detach().float().requires_grad_() for logits in ([net_output] if single else net_output)]
    with torch.enable_grad():
        terms = loss.weighted_terms(leaves[0] if single else leaves, target)
        return {letter: norm.sqrt().item() for letter, norm in squared_gradient_norms(terms, leaves).items()}
