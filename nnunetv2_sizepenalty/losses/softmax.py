"""Sums over voxels under a softmax of three or more classes, and their gradient in closed form.

With p the probabilities, t the true class, q = 1 - p_t and e = -log p_t, the derivatives with respect to logit k are

    d V_pj = p_k ([k = j] - p_j),   d TP_j = [t = j] d V_pj,   d f(e) = (p_k - [k = t]) f'(e).
"""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nnunetv2_sizepenalty.losses.sigmoid import OFF
from nnunetv2_sizepenalty.losses.terms import VoxelTerm


class SoftmaxSums(torch.autograd.Function):
    """V_p, TP, V_g of the foreground classes and the sum of a voxel term."""

    @staticmethod
    def forward(
        ctx, logits: Tensor, labels: Tensor, ignored: Tensor | None, term: VoxelTerm | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Sums over space, in float32 (float64 for float64 logits).

        Args:
            logits: (B, K, *spatial), class 0 is background.
            labels: (B, 1, *spatial), 0 to K - 1 where not ignored.
            ignored: bool (B, 1, *spatial), or None.
            term: the voxel term to sum, or None.

        Returns:
            V_p, TP and V_g of shape (B, K - 1), and the sum of `term` over all voxels (None without a term).
        """
        x = logits.to(torch.promote_types(logits.dtype, torch.float32)).flatten(2)
        labels = labels.flatten(2)
        if ignored is not None:
            # certain background, labelled so: every sum and derivative is exactly 0
            ignored = ignored.flatten(2)
            x = x.masked_fill(ignored, OFF)
            x[:, :1].masked_fill_(ignored, 0)
            labels = labels.masked_fill(ignored, 0)
        labels = labels.long()
        log_p = torch.log_softmax(x, 1)
        p = log_p.exp()
        of_truth = p.gather(1, labels)
        predicted = p[:, 1:].sum(-1)
        overlap, reference = torch.zeros_like(predicted), torch.zeros_like(predicted)
        for k in range(1, x.shape[1]):
            is_k = labels[:, 0] == k
            overlap[:, k - 1] = torch.where(is_k, of_truth[:, 0], 0).sum(-1)
            reference[:, k - 1] = is_k.sum(-1)

        total, slope = None, None
        if term:
            # q as the sum of the other classes' p: it and e are accurate where p_t is near 1 as well
            wrong = p.scatter(1, labels, 0).sum(1, keepdim=True)
            entropy = torch.where(wrong < 0.5, -torch.log1p(-wrong), -log_p.gather(1, labels))
            value, slope = term.value_and_slope(wrong, entropy)
            factor = torch.where(labels > 0, term.foreground, term.background).to(p.dtype)
            total, slope = (value * factor).sum(), factor if slope is None else slope * factor
        ctx.save_for_backward(p, labels, slope)
        ctx.shape, ctx.dtype = logits.shape, logits.dtype
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(reference)
        return predicted, overlap, reference, total

    @staticmethod
    @once_differentiable
    def backward(ctx, predicted: Tensor | None, overlap: Tensor | None, _reference, voxels: Tensor | None):
        """Gradient of the logits, computed in float32 and rounded once to their type."""
        p, labels, slope = ctx.saved_tensors
        # what a unit of p_k is worth: the gradient is p_k (worth_k - mean worth), and the true class adds its own
        mean = torch.zeros_like(p[:, :1])
        own = torch.zeros_like(mean)
        worth = p.new_zeros((*p.shape[:2], 1))
        if predicted is not None:
            worth[:, 1:, 0] = predicted
            mean += (p * worth).sum(1, keepdim=True)
        if overlap is not None:
            at_truth = torch.nn.functional.pad(overlap, (1, 0)).gather(1, labels[:, 0])[:, None]
            own += at_truth * p.gather(1, labels)
            mean += own
        if voxels is not None:
            mean -= slope * voxels
            own -= slope * voxels
        gradient = (worth - mean).mul_(p).scatter_add_(1, labels, own)
        # the likeliest class's own difference cancels where p is near 1; the others' sum does not
        likeliest = p.argmax(1, keepdim=True)
        gradient.scatter_(1, likeliest, 0)
        gradient.scatter_(1, likeliest, -gradient.sum(1, keepdim=True))
        return gradient.view(ctx.shape).to(ctx.dtype), None, None, None
