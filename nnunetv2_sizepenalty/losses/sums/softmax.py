"""Sums over voxels under a softmax of three or more classes, and their gradient in closed form.

With p the probabilities, t the true class, q = 1 - p_t and e = -log p_t, the derivatives with respect to logit k are

    d V_pj = p_k ([k = j] - p_j),   d TP_j = [t = j] d V_pj,   d f(e) = (p_k - [k = t]) f'(e),

and those of all logits of a voxel add up to 0. A row is here a line of voxels of all classes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from nnunetv2_sizepenalty.losses.formulas import VoxelTerm, entropy_of
from nnunetv2_sizepenalty.losses.sums import rows


class _ForGradient(NamedTuple):
    """What the gradient is made of.

    background_p, background_slopes: p (B, K, R, W) and of each term f'(e) (B, R, W), right where a row is not exact; no
        p if all are, no slope (None) also where it is 1.
    exact: index of the exact rows among the B R, None for all.
    p, labels, slopes: of the exact rows, (n, K, W), (n, 1, W) and of each term (n, 1, W).
    """

    background_p: Tensor | None
    background_slopes: Sequence[Tensor | None]
    exact: Tensor | None
    p: Tensor
    labels: Tensor
    slopes: Sequence[Tensor]


class SoftmaxSums(torch.autograd.Function):
    """Computes V_p, TP, V_g of the foreground classes and the sums of voxel terms."""

    @staticmethod
    def forward(
        ctx,
        logits: Tensor,
        labels: Tensor,
        ignored: Tensor | None,
        terms: tuple[VoxelTerm, ...],
        weight: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Sums over space, in float32 (float64 for float64 logits).

        Args:
            logits: (B, K, *spatial), class 0 is background.
            labels: (B, 1, *spatial), 0 to K - 1 where not ignored.
            ignored: bool (B, 1, *spatial), or None.
            terms: the voxel terms to sum.
            weight: of each voxel in `terms`, (B, 1, *spatial) and 1 on background; None for 1.

        Returns:
            V_p, TP and V_g of shape (B, K - 1), and of each of `terms` the sum over all voxels, shape (terms,) (None
            without terms).
        """
        sums, ctx.saved = _sum_rows(*_rows(logits, labels, ignored), terms, rows.weights_as_rows(weight))
        ctx.save_for_backward(logits, labels, ignored, weight)
        ctx.terms = terms
        volumes = 3 * (logits.shape[1] - 1)
        predicted, overlap, reference = sums[:, :volumes].reshape(len(logits), -1, 3, volumes // 3).sum(1).unbind(1)
        ctx.mark_non_differentiable(reference)
        voxels = torch.stack([of_term.sum() for of_term in sums[:, volumes:].T]) if terms else None
        return predicted, overlap, reference, voxels

    @staticmethod
    @once_differentiable
    def backward(ctx, predicted: Tensor, overlap: Tensor, _reference: Tensor, voxels: Tensor | None):
        """Gradient of the logits, computed in float32 and rounded once to their type."""
        logits, labels, ignored, weight = ctx.saved_tensors
        # the first backward turns what was saved into the gradient; a second one (retain_graph) sums anew
        saved, ctx.saved = ctx.saved, None
        if saved is None:
            _, saved = _sum_rows(*_rows(logits, labels, ignored), ctx.terms, rows.weights_as_rows(weight))
        batch, classes, width = len(logits), logits.shape[1], logits.shape[-1]
        height = logits.numel() // (batch * classes * width)
        # what a unit of p_k is worth, by V_p and by TP; background is worth nothing
        worths = pad(torch.stack([predicted, overlap]), (1, 0)).repeat_interleave(height, 1)
        predicted_of_row, overlap_of_row = (rows.take(worth, saved.exact) for worth in worths)
        exact = saved.p
        for tile in rows.tiles(exact):
            slope = _weighted_sum([slope[tile] for slope in saved.slopes], voxels)
            labels = saved.labels[tile].long()
            exact[tile] = _exact_gradient(exact[tile], labels, slope, predicted_of_row[tile], overlap_of_row[tile])
        if saved.background_p is None:
            gradient = exact.view(batch, height, classes, width).transpose(1, 2)
        else:
            gradient = saved.background_p
            _finish_background(gradient, saved.background_slopes, predicted, voxels, ctx.terms)
            gradient.transpose(1, 2)[saved.exact // height, saved.exact % height] = exact
        return gradient.reshape(logits.shape).to(logits.dtype), None, None, None, None


def _rows(logits: Tensor, labels: Tensor, ignored: Tensor | None) -> tuple[Tensor, Tensor]:
    """Logits (B, K, R, W) and labels (B, R, W); ignored voxels are certain background and labelled so."""
    width = logits.shape[-1]
    x = logits.reshape(*logits.shape[:2], -1, width)
    labels = labels.reshape(len(logits), -1, width)
    if ignored is not None:
        ignored = ignored.reshape(labels.shape)
        x = x.masked_fill(ignored[:, None], rows.IGNORED_LOGIT)
        x[:, 0].masked_fill_(ignored, 0)
        labels = labels.masked_fill(ignored, 0)
    return x, labels


def _weighted_sum(slopes: Sequence[Tensor], worths: Tensor | None) -> Tensor | None:
    """Sum of the terms' slopes, each times what a unit of the term is worth; None without terms."""
    if worths is None or not slopes:
        return None
    total = slopes[0] * worths[0]
    for slope, worth in zip(slopes[1:], worths[1:], strict=True):
        total = total + slope * worth
    return total


def _sum_rows(
    x: Tensor, labels: Tensor, terms: tuple[VoxelTerm, ...], weight: Tensor | None
) -> tuple[Tensor, _ForGradient]:
    """Sums of each row (B R, 3 (K - 1) + terms: V_p, TP and V_g of the classes, then the terms), for the gradient."""
    batch, classes, height, _ = x.shape
    dtype = torch.promote_types(x.dtype, torch.float32)
    sums = x.new_zeros((batch * height, 3 * (classes - 1) + len(terms)), dtype=dtype)
    labels = labels.flatten(0, 1)
    p = exact = None
    slopes: Sequence[Tensor | None] = (None,) * len(terms)
    if rows.background_first(x):
        p, slopes, peak = _sum_background(x, terms, sums)
        exact = rows.find_exact(labels, peak)
        x = x.transpose(1, 2)[exact // height, exact % height]
    else:
        x = x.transpose(1, 2).flatten(0, 1)
    labels = rows.take(labels, exact)[:, None]
    weight = None if weight is None else rows.take(weight, exact)[:, None]
    exact_sums = sums.new_empty((len(x), sums.shape[1]))
    exact_p = sums.new_empty(x.shape)
    exact_slopes = [sums.new_empty(labels.shape) for _ in terms]
    for tile in rows.tiles(x):
        of_tile = None if weight is None else weight[tile].to(dtype)
        parts = _sum_exactly(x[tile].to(dtype), labels[tile].long(), terms, of_tile)
        exact_sums[tile], exact_p[tile] = parts[:2]
        for of_term, slope in zip(exact_slopes, parts[2], strict=True):
            of_term[tile] = slope
    rows.put(sums, exact, exact_sums)
    return sums, _ForGradient(p, slopes, exact, exact_p, labels, exact_slopes)


def _sum_background(
    x: Tensor, terms: tuple[VoxelTerm, ...], sums: Tensor
) -> tuple[Tensor, Sequence[Tensor | None], Tensor]:
    """Fills `sums` as if all rows held background alone; returns p, slopes and the highest foreground p of each row."""
    batch, classes, height, width = x.shape
    by_sample = sums.view(batch, height, -1)
    p = x.new_empty(x.shape, dtype=sums.dtype)
    slopes = [None if term.value_and_slope is None else p.new_empty((batch, height, width)) for term in terms]
    peak = torch.empty_like(by_sample[..., 0])
    for sample in range(batch):
        for tile in rows.tiles(x[sample], 1):
            of_tile = torch.softmax(x[sample, :, tile].to(p.dtype), 0, out=p[sample, :, tile])[1:]
            wrong = of_tile.sum(0)
            by_sample[sample, tile, : classes - 1] = of_tile.sum(-1).T
            torch.amax(wrong, -1, out=peak[sample, tile])
            for number, term in enumerate(terms):
                value = entropy_of(wrong)
                if slopes[number] is not None:
                    value, slopes[number][sample, tile] = term.value_and_slope(wrong, value)
                by_sample[sample, tile, 3 * (classes - 1) + number] = value.sum(-1) * term.background
    return p, slopes, peak.flatten()


def _finish_background(
    p: Tensor,
    slopes: Sequence[Tensor | None],
    predicted: Tensor,
    voxels: Tensor | None,
    terms: tuple[VoxelTerm, ...],
) -> None:
    """Turns p into the gradient, in place."""
    scales = (
        [] if voxels is None else [worth.item() * term.background for worth, term in zip(voxels, terms, strict=True)]
    )
    for sample in range(len(p)):
        worth = predicted[sample].view(-1, 1, 1)
        for tile in rows.tiles(p[sample], 1):
            foreground = p[sample, 1:, tile]
            gain = (foreground * worth).sum(0).neg_()
            for slope, scale in zip(slopes, scales, strict=False):
                gain += scale if slope is None else slope[sample, tile] * scale
            foreground.mul_(worth + gain)
            torch.sum(foreground, 0, out=p[sample, 0, tile]).neg_()


def _sum_exactly(
    x: Tensor, labels: Tensor, terms: tuple[VoxelTerm, ...], weight: Tensor | None
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Sums over each row, p, and the terms' slopes with their factors; exact where p_t is near 1 as well."""
    log_p = torch.log_softmax(x, 1)
    p = log_p.exp()
    y = labels == torch.arange(1, x.shape[1], device=x.device).view(-1, 1)
    foreground = p[:, 1:]
    sums = [torch.cat([foreground.sum(-1), torch.where(y, foreground, 0).sum(-1), y.sum(-1)], 1)]
    slopes = []
    for term in terms:
        wrong = p.scatter(1, labels, 0).sum(1, keepdim=True)
        value = torch.where(wrong < 0.5, entropy_of(wrong.clamp(max=0.5)), -log_p.gather(1, labels))
        slope = factor = torch.where(labels > 0, term.foreground, term.background).to(p.dtype)
        if weight is not None:
            slope = factor = factor * weight
        if term.value_and_slope is not None:
            value, slope = term.value_and_slope(wrong, value)
            slope = slope * factor
        sums.append((value * factor).sum(-1))
        slopes.append(slope)
    return torch.cat(sums, 1), p, slopes


def _exact_gradient(p: Tensor, labels: Tensor, slope: Tensor | None, predicted: Tensor, overlap: Tensor) -> Tensor:
    """Gradient of exact rows (n, K, W), of which `predicted` and `overlap` are the worths (n, K)."""
    worth = predicted[..., None]
    own = overlap[..., None].expand_as(p).gather(1, labels) * p.gather(1, labels)
    mean = (p * worth).sum(1, keepdim=True) + own
    if slope is not None:
        mean, own = mean - slope, own - slope
    gradient = (worth - mean).mul_(p).scatter_add_(1, labels, own)
    # the likeliest class's own difference cancels where p is near 1; the others' sum does not
    likeliest = p.argmax(1, keepdim=True)
    gradient.scatter_(1, likeliest, 0)
    return gradient.scatter_(1, likeliest, -gradient.sum(1, keepdim=True))
