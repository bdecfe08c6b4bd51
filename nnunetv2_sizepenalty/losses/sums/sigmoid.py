"""Sums over voxels under a sigmoid, and their gradient in closed form.

With p the probability of foreground, y in {0, 1} the reference, q the probability of the wrong class (p where y = 0,
1 - p where y = 1) and e = -log(1 - q) the voxel's cross-entropy, the derivatives with respect to the logit are

    d V_p = q (1 - q),   d TP = y q (1 - q),   d f(e) = (1 - 2 y) q f'(e).
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nnunetv2_sizepenalty.losses.formulas import VoxelTerm, entropy_of
from nnunetv2_sizepenalty.losses.sums import rows


class _ForGradient(NamedTuple):
    """What the gradient is made of; tensors of rows.

    background: right where a row is not exact, None if all are: d V_p without a voxel term, p with the cross-entropy,
        else the derivative of the term without its factor.
    x: logits, from which d V_p comes in that last case; else None.
    exact: index of the exact rows, None for all. volume, voxels, foreground: their d V_p, derivative of the term, y.
    """

    background: Tensor | None
    x: Tensor | None
    exact: Tensor | None
    volume: Tensor
    voxels: Tensor | None
    foreground: Tensor


class SigmoidSums(torch.autograd.Function):
    """Computes V_p, TP, V_g and the sum of a voxel term."""

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
        sums, ctx.saved = _sum_rows(*_rows(logits, reference, ignored, margin), term)
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
        # the first backward turns what was saved into the gradient; a second one (retain_graph) sums anew
        saved, ctx.saved = ctx.saved, None
        if saved is None:
            _, saved = _sum_rows(*_rows(logits, reference, ignored, ctx.margin), ctx.term)
        rows_of_pair = (logits.numel() >> ctx.margin) // logits.shape[-1] // predicted.numel()
        of_row = torch.stack([predicted, overlap]).reshape(2, -1, 1).expand(-1, -1, rows_of_pair).reshape(2, -1, 1)
        # in place where memory is at stake, since on an accelerator these are all rows
        gradient = saved.volume.mul_(
            (saved.foreground * rows.take(of_row[1], saved.exact)).add_(rows.take(of_row[0], saved.exact))
        )
        if voxels is not None:
            gradient += saved.voxels.mul_(voxels)
        if saved.background is not None:
            exact, gradient = gradient, saved.background
            _finish_background(gradient, saved.x, predicted, of_row[0], voxels, ctx.term)
            rows.put(gradient, saved.exact, exact)
        gradient = gradient.to(logits.dtype).view(len(logits), -1, *logits.shape[2:])
        return torch.cat([-gradient, gradient], 1) if ctx.margin else gradient, None, None, None, None


def _rows(logits: Tensor, reference: Tensor, ignored: Tensor | None, margin: bool) -> tuple[Tensor, Tensor]:
    """Rows of the logit of foreground, and of the reference; ignored voxels are certain background."""
    if margin:
        precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
        logits = precise[:, 1:] - precise[:, :1]
    if ignored is not None:
        logits = logits.masked_fill(ignored, rows.IGNORED_LOGIT)
        reference = (reference > 0) & ~ignored
    return rows.as_rows(logits), rows.as_rows(reference)


def _sum_rows(x: Tensor, y: Tensor, term: VoxelTerm | None) -> tuple[Tensor, _ForGradient]:
    """Sums over each row (V_p, TP, V_g, voxel term; shape (4, rows)), and what the gradient needs."""
    sums = x.new_zeros((4, len(x)), dtype=torch.promote_types(x.dtype, torch.float32))
    background = exact = None
    if rows.background_first(x):
        background, peak = _sum_background(x, term, sums)
        exact = rows.find_exact(y, peak)
    exact_x, foreground = rows.take(x, exact), rows.take(y, exact) > 0
    exact_sums = sums.new_empty((len(exact_x), 4))
    volume = sums.new_empty(exact_x.shape)
    voxels = torch.empty_like(volume) if term else None
    for tile in rows.tiles(exact_x):
        parts = _sum_exactly(exact_x[tile].to(sums.dtype), foreground[tile].to(sums.dtype), term)
        exact_sums[tile], volume[tile] = parts[:2]
        if term:
            voxels[tile] = parts[2]
    rows.put(sums.T, exact, exact_sums)
    needs_x = background is not None and term is not None and term.value_and_slope is not None
    return sums, _ForGradient(background, x if needs_x else None, exact, volume, voxels, foreground)


def _sum_background(x: Tensor, term: VoxelTerm | None, sums: Tensor) -> tuple[Tensor, Tensor]:
    """Fills `sums` as if all rows were background; returns `_ForGradient.background` and the highest p of each row."""
    background = x.new_empty(x.shape, dtype=sums.dtype)
    peak = torch.empty_like(sums[0])
    for tile in rows.tiles(x):
        of_tile = background[tile]
        if term is None or term.value_and_slope is None:
            wrong = torch.sigmoid(x[tile].to(sums.dtype), out=of_tile)
        else:
            wrong = torch.sigmoid(x[tile].to(sums.dtype))
        torch.sum(wrong, -1, out=sums[0, tile])
        torch.amax(wrong, -1, out=peak[tile])
        if term is None:
            torch.addcmul(wrong, wrong, wrong, value=-1, out=of_tile)
        elif term.value_and_slope is None:
            torch.sum(entropy_of(wrong), -1, out=sums[3, tile])
        else:
            value, slope = term.value_and_slope(wrong, entropy_of(wrong))
            torch.sum(value, -1, out=sums[3, tile])
            torch.mul(wrong, slope, out=of_tile)
    if term:
        sums[3] *= term.background
    return background, peak


def _finish_background(
    background: Tensor,
    x: Tensor | None,
    predicted: Tensor,
    of_row: Tensor,
    voxels: Tensor | None,
    term: VoxelTerm | None,
) -> None:
    """Turns `_ForGradient.background` into the gradient; `of_row` is `predicted`, the gradient of V_p, for each row."""
    if term is None:
        background.view(predicted.numel(), -1).mul_(predicted.reshape(-1, 1))
        return
    scale = voxels.item() * term.background
    for tile in rows.tiles(background):
        of_tile = background[tile]
        if x is None:
            of_tile.mul_((1 - of_tile).mul_(of_row[tile]).add_(scale))
        else:
            wrong = torch.sigmoid(x[tile].to(of_tile.dtype))
            through_volume = torch.addcmul(wrong, wrong, wrong, value=-1).mul_(of_row[tile])
            torch.add(through_volume, of_tile, alpha=scale, out=of_tile)


def _sum_exactly(x: Tensor, y: Tensor, term: VoxelTerm | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Sums over each row (rows, 4), d V_p and the derivative of the voxel term, exact in both tails."""
    sign = 1 - 2 * y
    wrongness = x * sign
    wrong, right = torch.sigmoid(wrongness), torch.sigmoid(-wrongness)
    sums = [torch.lerp(wrong, right, y).sum(-1), (right * y).sum(-1), y.sum(-1)]
    if term is None:
        return torch.stack([*sums, torch.zeros_like(sums[0])], -1), wrong * right, None
    factor = term.background + (term.foreground - term.background) * y
    derivative = wrong * factor * sign
    value = wrongness.clamp(min=0) + entropy_of(torch.minimum(wrong, right))
    if term.value_and_slope is not None:
        value, slope = term.value_and_slope(wrong, value)
        derivative *= slope
    return torch.stack([*sums, (value * factor).sum(-1)], -1), wrong * right, derivative
