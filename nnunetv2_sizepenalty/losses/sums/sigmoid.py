"""Sums over voxels under a sigmoid, and their gradient in closed form.

With p the probability of foreground, y in {0, 1} the reference, q the probability of the wrong class (p where y = 0,
1 - p where y = 1) and e = -log(1 - q) the voxel's cross-entropy, the derivatives with respect to the logit are

    d V_p = q (1 - q),   d TP = y q (1 - q),   d f(e) = (1 - 2 y) q f'(e).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nnunetv2_sizepenalty.losses.formulas import VoxelTerm, entropy_of
from nnunetv2_sizepenalty.losses.sums import rows


class _ForGradient(NamedTuple):
    """What the gradient is made of; tensors of rows.

    background: right where a row is not exact, None if all are: d V_p without a voxel term, p with the cross-entropy or
        several terms, else the derivative of the one term without its factor.
    x: logits, from which d V_p comes in that last case; else None.
    exact: index of the exact rows, None for all. volume, voxels, foreground: their d V_p, derivatives of the terms, y.
    """

    background: Tensor | None
    x: Tensor | None
    exact: Tensor | None
    volume: Tensor
    voxels: Sequence[Tensor]
    foreground: Tensor


class SigmoidSums(torch.autograd.Function):
    """Computes V_p, TP, V_g and the sums of voxel terms."""

    @staticmethod
    def forward(
        ctx,
        logits: Tensor,
        reference: Tensor,
        ignored: Tensor | None,
        margin: bool,
        terms: tuple[VoxelTerm, ...],
        weight: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Sums over space, in float32 (float64 for float64 logits).

        Args:
            logits: (B, C, *spatial); with `margin` (B, 2, *spatial), whose difference is the logit (softmax of two).
            reference: (B, C, *spatial), foreground where positive.
            ignored: bool (B, 1, *spatial), or None.
            terms: the voxel terms to sum.
            weight: of each voxel in `terms`, of the reference's shape and 1 on background; None for 1.

        Returns:
            V_p, TP and V_g of shape (B, C), and of each of `terms` the sum over all voxels and channels, shape (terms,)
            (None without terms).
        """
        sums, ctx.saved = _sum_rows(*_rows(logits, reference, ignored, margin), terms, rows.weights_as_rows(weight))
        ctx.save_for_backward(logits, reference, ignored, weight)
        ctx.margin, ctx.terms = margin, terms
        channels = 1 if margin else logits.shape[1]
        predicted, overlap, volume = sums[:3].view(3, len(logits), channels, -1).sum(-1)
        ctx.mark_non_differentiable(volume)
        return predicted, overlap, volume, torch.stack([of_term.sum() for of_term in sums[3:]]) if terms else None

    @staticmethod
    @once_differentiable
    def backward(ctx, predicted: Tensor, overlap: Tensor, _volume: Tensor, voxels: Tensor | None):
        """Gradient of the logits, computed in float32 and rounded once to their type."""
        logits, reference, ignored, weight = ctx.saved_tensors
        # the first backward turns what was saved into the gradient; a second one (retain_graph) sums anew
        saved, ctx.saved = ctx.saved, None
        if saved is None:
            _, saved = _sum_rows(
                *_rows(logits, reference, ignored, ctx.margin), ctx.terms, rows.weights_as_rows(weight)
            )
        rows_of_pair = (logits.numel() >> ctx.margin) // logits.shape[-1] // predicted.numel()
        of_row = torch.stack([predicted, overlap]).reshape(2, -1, 1).expand(-1, -1, rows_of_pair).reshape(2, -1, 1)
        # in place where memory is at stake, since on an accelerator these are all rows
        gradient = saved.volume.mul_(
            (saved.foreground * rows.take(of_row[1], saved.exact)).add_(rows.take(of_row[0], saved.exact))
        )
        for of_term, slope in zip(saved.voxels, () if voxels is None else voxels, strict=False):
            gradient += of_term.mul_(slope)
        if saved.background is not None:
            exact, gradient = gradient, saved.background
            _finish_background(gradient, saved.x, predicted, of_row[0], voxels, ctx.terms)
            rows.put(gradient, saved.exact, exact)
        gradient = gradient.to(logits.dtype).view(len(logits), -1, *logits.shape[2:])
        return torch.cat([-gradient, gradient], 1) if ctx.margin else gradient, *(None,) * 5


def _rows(logits: Tensor, reference: Tensor, ignored: Tensor | None, margin: bool) -> tuple[Tensor, Tensor]:
    """Rows of the logit of foreground, and of the reference; ignored voxels are certain background."""
    if margin:
        precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
        logits = precise[:, 1:] - precise[:, :1]
    if ignored is not None:
        logits = logits.masked_fill(ignored, rows.IGNORED_LOGIT)
        reference = (reference > 0) & ~ignored
    return rows.as_rows(logits), rows.as_rows(reference)


def _sum_rows(x: Tensor, y: Tensor, terms: tuple[VoxelTerm, ...], weight: Tensor | None) -> tuple[Tensor, _ForGradient]:
    """Sums over each row (V_p, TP, V_g, voxel terms; shape (3 + terms, rows)), and what the gradient needs."""
    sums = x.new_zeros((3 + len(terms), len(x)), dtype=torch.promote_types(x.dtype, torch.float32))
    background = exact = None
    if rows.background_first(x):
        background, peak = _sum_background(x, terms, sums)
        exact = rows.find_exact(y, peak)
    exact_x, foreground = rows.take(x, exact), rows.take(y, exact) > 0
    weight = None if weight is None else rows.take(weight, exact)
    exact_sums = sums.new_empty((len(exact_x), len(sums)))
    volume = sums.new_empty(exact_x.shape)
    voxels = [torch.empty_like(volume) for _ in terms]
    for tile in rows.tiles(exact_x):
        of_tile = None if weight is None else weight[tile].to(sums.dtype)
        parts = _sum_exactly(exact_x[tile].to(sums.dtype), foreground[tile].to(sums.dtype), terms, of_tile)
        exact_sums[tile], volume[tile] = parts[:2]
        for of_term, derivative in zip(voxels, parts[2], strict=True):
            of_term[tile] = derivative
    rows.put(sums.T, exact, exact_sums)
    needs_x = background is not None and len(terms) == 1 and terms[0].value_and_slope is not None
    return sums, _ForGradient(background, x if needs_x else None, exact, volume, voxels, foreground)


def _sum_background(x: Tensor, terms: tuple[VoxelTerm, ...], sums: Tensor) -> tuple[Tensor, Tensor]:
    """Fills `sums` as if all rows were background; returns `_ForGradient.background` and the highest p of each row."""
    background = x.new_empty(x.shape, dtype=sums.dtype)
    peak = torch.empty_like(sums[0])
    keeps_slope = len(terms) == 1 and terms[0].value_and_slope is not None
    for tile in rows.tiles(x):
        of_tile = background[tile]
        if keeps_slope:
            wrong = torch.sigmoid(x[tile].to(sums.dtype))
        else:
            wrong = torch.sigmoid(x[tile].to(sums.dtype), out=of_tile)
        torch.sum(wrong, -1, out=sums[0, tile])
        torch.amax(wrong, -1, out=peak[tile])
        for of_term, term in zip(sums[3:], terms, strict=True):
            if term.value_and_slope is None:
                torch.sum(entropy_of(wrong), -1, out=of_term[tile])
                continue
            value, slope = term.value_and_slope(wrong, entropy_of(wrong))
            torch.sum(value, -1, out=of_term[tile])
            if keeps_slope:
                torch.mul(wrong, slope, out=of_tile)
        if not terms:
            torch.addcmul(wrong, wrong, wrong, value=-1, out=of_tile)
    for of_term, term in zip(sums[3:], terms, strict=True):
        of_term *= term.background
    return background, peak


def _finish_background(
    background: Tensor,
    x: Tensor | None,
    predicted: Tensor,
    of_row: Tensor,
    voxels: Tensor | None,
    terms: tuple[VoxelTerm, ...],
) -> None:
    """Turns `_ForGradient.background` into the gradient; `of_row` is `predicted`, the gradient of V_p, for each row."""
    if not terms:
        background.view(predicted.numel(), -1).mul_(predicted.reshape(-1, 1))
        return
    scales = [slope.item() * term.background for slope, term in zip(voxels, terms, strict=True)]
    for tile in rows.tiles(background):
        of_tile = background[tile]
        if x is not None:
            wrong = torch.sigmoid(x[tile].to(of_tile.dtype))
            through_volume = torch.addcmul(wrong, wrong, wrong, value=-1).mul_(of_row[tile])
            torch.add(through_volume, of_tile, alpha=scales[0], out=of_tile)
        elif len(terms) == 1:
            of_tile.mul_((1 - of_tile).mul_(of_row[tile]).add_(scales[0]))
        else:
            worth = (1 - of_tile).mul_(of_row[tile])
            for term, scale in zip(terms, scales, strict=True):
                if term.value_and_slope is None:
                    worth += scale
                else:
                    worth.add_(term.value_and_slope(of_tile, entropy_of(of_tile))[1], alpha=scale)
            of_tile.mul_(worth)


def _sum_exactly(
    x: Tensor, y: Tensor, terms: tuple[VoxelTerm, ...], weight: Tensor | None
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Sums over each row (rows, 3 + terms), d V_p and the derivatives of the terms, exact in both tails."""
    sign = 1 - 2 * y
    wrongness = x * sign
    wrong, right = torch.sigmoid(wrongness), torch.sigmoid(-wrongness)
    sums = [torch.lerp(wrong, right, y).sum(-1), (right * y).sum(-1), y.sum(-1)]
    derivatives = []
    for term in terms:
        factor = term.background + (term.foreground - term.background) * y
        if weight is not None:
            factor *= weight
        derivative = wrong * factor * sign
        value = wrongness.clamp(min=0) + entropy_of(torch.minimum(wrong, right))
        if term.value_and_slope is not None:
            value, slope = term.value_and_slope(wrong, value)
            derivative *= slope
        sums.append((value * factor).sum(-1))
        derivatives.append(derivative)
    return torch.stack(sums, -1), wrong * right, derivatives
