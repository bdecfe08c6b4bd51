"""Sums over voxels under a sigmoid, and their gradient in closed form.

With p the probability of foreground, y in {0, 1} the reference, q the probability of the wrong class (p where y = 0,
1 - p where y = 1) and e = -log(1 - q) the voxel's cross-entropy, the derivatives with respect to the logit are

    d V_p = q (1 - q),   d TP = y q (1 - q),   d f(e) = (1 - 2 y) q f'(e).

On the CPU all rows of voxels (lines along the last axis) are first taken for background that the network sees as such,
which needs one sigmoid. The few rows that hold foreground, or a confident prediction of it, are gathered and redone by
the full formula, which is exact in both tails.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import softplus

from nnunetv2_sizepenalty.losses.rows import add, as_rows, put, row_maximum, take, tiles
from nnunetv2_sizepenalty.losses.terms import VoxelTerm

# up to this p (a logit of 6.2), rounding leaves 1 - p and log(1 - p) good to 3e-5 in float32
CONFIDENT = 0.998
# the logit of an ignored voxel: its p, derivative and cross-entropy are exactly 0, in float16 too
OFF = -1e4


class _Derivatives(NamedTuple):
    """Derivatives with respect to the logits, in rows; that of TP is that of V_p where there is foreground.

    volume: d V_p. voxels: that of the sum of the voxel term, or None without one.
    hard: index of the rows that may hold foreground, None for all. foreground: y of these rows.
    """

    volume: Tensor
    voxels: Tensor | None
    hard: Tensor | None
    foreground: Tensor


class SigmoidSums(torch.autograd.Function):
    """V_p, TP, V_g and the sum of a voxel term."""

    @staticmethod
    def forward(
        ctx, logits: Tensor, reference: Tensor, ignored: Tensor | None, margin: bool, term: VoxelTerm | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Sums over space, in float32 (float64 for float64 logits).

        Args:
            logits: (B, C, *spatial); with `margin` (B, 2, *spatial), whose difference is the logit (softmax of two).
            reference: (B, C, *spatial), foreground where positive.
            ignored: bool (B, 1, *spatial), or None.
            term: the voxel term to sum, or None.

        Returns:
            V_p, TP and V_g of shape (B, C), and the sum of `term` over all voxels and channels (None without a term).
        """
        sums, ctx.derivatives = _look(*_rows(logits, reference, ignored, margin), term)
        ctx.save_for_backward(logits, reference, ignored)
        ctx.margin, ctx.term = margin, term
        channels = 1 if margin else logits.shape[1]
        predicted, overlap, volume = sums[:3].view(3, len(logits), channels, -1).sum(-1)
        ctx.mark_non_differentiable(volume)
        return predicted, overlap, volume, sums[3].sum() if term else None

    @staticmethod
    @once_differentiable
    def backward(ctx, predicted: Tensor, overlap: Tensor, _volume: Tensor, voxels: Tensor | None):
        """Gradient of the logits, computed in float32 and rounded once to their type."""
        logits, reference, ignored = ctx.saved_tensors
        # the first backward turns the derivatives' memory into the gradient; with retain_graph, a second one looks anew
        derivatives, ctx.derivatives = ctx.derivatives, None
        if derivatives is None:
            _, derivatives = _look(*_rows(logits, reference, ignored, ctx.margin), ctx.term)
        rows, hard = derivatives.volume, derivatives.hard
        of_row = overlap.reshape(-1, 1).expand(-1, len(rows) // overlap.numel()).reshape(-1, 1)
        through_overlap = take(rows, hard) * derivatives.foreground * take(of_row, hard)
        rows.view(predicted.numel(), -1).mul_(predicted.reshape(-1, 1))
        if voxels is not None:
            rows += derivatives.voxels.mul_(voxels)
        add(rows, hard, through_overlap)
        gradient = rows.to(logits.dtype).view(len(logits), -1, *logits.shape[2:])
        return torch.cat([-gradient, gradient], 1) if ctx.margin else gradient, None, None, None, None


def _rows(logits: Tensor, reference: Tensor, ignored: Tensor | None, margin: bool) -> tuple[Tensor, Tensor]:
    """Rows of the logit of foreground, and of the reference; ignored voxels are certain background."""
    if margin:
        precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
        logits = precise[:, 1:] - precise[:, :1]
    if ignored is not None:
        logits = logits.masked_fill(ignored, OFF)
        reference = (reference > 0) & ~ignored
    return as_rows(logits), as_rows(reference)


def rows_are_cheap_to_find(x: Tensor) -> bool:
    """On the CPU; an accelerator would have to be waited for, and a dense pass costs little there."""
    return x.device.type == "cpu"


def _look(x: Tensor, y: Tensor, term: VoxelTerm | None) -> tuple[Tensor, _Derivatives]:
    """Sums over each row (V_p, TP, V_g, voxel term; shape (4, rows)), and the derivatives of all voxels."""
    dtype = torch.promote_types(x.dtype, torch.float32)
    sums = x.new_zeros((4, len(x)), dtype=dtype)
    # one allocation: two of this size are given back to the system, and faulted in again, at every call
    volume, voxels = x.new_empty((2, *x.shape), dtype=dtype) if term else (x.new_empty(x.shape, dtype=dtype), None)
    hard = None
    if rows_are_cheap_to_find(x):
        peak = _look_at_background(x, term, sums, volume, voxels)
        hard = ((row_maximum(y) > 0) | (peak > CONFIDENT)).nonzero()[:, 0]
    x, foreground = take(x, hard), (take(y, hard) > 0).to(dtype)
    for tile in tiles(x):
        rows = None if hard is None else hard[tile]
        exact_sums, exact_volume, exact_voxels = _look_exactly(x[tile].to(dtype), foreground[tile], term)
        put(sums.T, rows, exact_sums)
        put(volume, rows, exact_volume)
        if term:
            put(voxels, rows, exact_voxels)
    return sums, _Derivatives(volume, voxels, hard, foreground)


def _look_at_background(
    x: Tensor, term: VoxelTerm | None, sums: Tensor, volume: Tensor, voxels: Tensor | None
) -> Tensor:
    """Fills `sums`, `volume` and `voxels` as if all rows held background alone; returns the highest p of each row."""
    peak = torch.empty_like(sums[0])
    for tile in tiles(x):
        wrong = torch.sigmoid(x[tile].to(volume.dtype), out=volume[tile])
        torch.sum(wrong, -1, out=sums[0, tile])
        torch.amax(wrong, -1, out=peak[tile])
        if term:
            entropy = torch.neg(wrong, out=voxels[tile]).log1p_().neg_()
            value, slope = term.value_and_slope(wrong, entropy)
            torch.sum(value, -1, out=sums[3, tile])
            torch.mul(wrong, term.background if slope is None else slope, out=voxels[tile])
            if slope is not None:
                voxels[tile] *= term.background
        torch.addcmul(wrong, wrong, wrong, value=-1, out=wrong)
    if term:
        sums[3] *= term.background
    return peak


def _look_exactly(x: Tensor, y: Tensor, term: VoxelTerm | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Sums over each row (rows, 4), d V_p and the derivative of the voxel term, exact in both tails."""
    sign = 1 - 2 * y
    wrongness = x * sign
    wrong, right = torch.sigmoid(wrongness), torch.sigmoid(-wrongness)
    sums = [torch.lerp(wrong, right, y).sum(-1), (right * y).sum(-1), y.sum(-1)]
    if term is None:
        return torch.stack([*sums, torch.zeros_like(sums[0])], -1), wrong * right, None
    value, slope = term.value_and_slope(wrong, softplus(wrongness))
    factor = term.background + (term.foreground - term.background) * y
    derivative = wrong * factor * sign
    sums.append((value * factor).sum(-1))
    return torch.stack(sums, -1), wrong * right, derivative if slope is None else derivative * slope
