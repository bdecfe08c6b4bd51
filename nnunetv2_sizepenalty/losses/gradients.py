"""Gradients of single terms with respect to the logits: what a training log and a balanced weight of S ask for."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor


class WeightedTerms(Protocol):
    """A loss of one or of several scales, whose terms can be had apart."""

    def weighted_terms(self, net_output, target) -> Mapping[str, Tensor]: ...


def term_gradients(terms: Mapping[str, Tensor], logits: Sequence[Tensor]) -> Iterator[tuple[str, Sequence[Tensor]]]:
    """Yields each term's letter and its gradients with respect to `logits`; the graph is kept."""
    for letter, term in terms.items():
        yield (
            letter,
            torch.autograd.grad(term, logits, retain_graph=True, allow_unused=True, materialize_grads=True),
        )


def squared_norm(gradients: Sequence[Tensor]) -> Tensor:
    """Returns the squared Euclidean norm of all `gradients` together."""
    return torch.stack([torch.linalg.vector_norm(gradient) for gradient in gradients]).square().sum()


def logit_gradient_norms(
    loss: WeightedTerms, net_output: Tensor | Sequence[Tensor], target: Tensor | Sequence[Tensor]
) -> dict[str, float]:
    """Returns the Euclidean norm of each weighted term's gradient with respect to the logits of all scales, in float32.

    Costs a forward and one backward per term on top of the training step, so call it on a sample of the steps. The
    network's own gradients are not touched. Under DDP every process must call it.
    """
    single = isinstance(net_output, Tensor)
    leaves = [logits.detach().float().requires_grad_() for logits in ([net_output] if single else net_output)]
    with torch.enable_grad():
        terms = loss.weighted_terms(leaves[0] if single else leaves, target)
        return {letter: squared_norm(found).sqrt().item() for letter, found in term_gradients(terms, leaves)}
