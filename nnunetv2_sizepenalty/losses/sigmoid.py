"""Sums over voxels under a sigmoid, and their gradient in closed form.

With p the probability of foreground, y in {0, 1} the reference, q the probability of the wrong class (p where y = 0,
1 - p where y = 1) and e = -log(1 - q) the voxel's cross-entropy, the derivatives with respect to the logit are

    d V_p = q (1 - q),   d TP = y q (1 - q),   d f(e) = (1 - 2 y) q f'(e).
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import softplus

from nnunetv2_sizepenalty.losses.rows import as_rows, row_maximum, tiles
from nnunetv2_sizepenalty.losses.terms import VoxelTerm

# up to this logit 1 - p and log(1 - p) lose no more than the last digits of a float32
CONFIDENT = 4.0
# the logit of an ignored voxel: its p, derivative and cross-entropy are exactly 0, in float16 too
OFF = -1e4


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
        dtype = torch.promote_types(logits.dtype, torch.float32)
        x = logits[:, 1:].to(dtype) - logits[:, :1].to(dtype) if margin else logits
        if ignored is not None:
            x = x.masked_fill(ignored, OFF)
            reference = (reference > 0) & ~ignored
        pairs = x.shape[:2]
        x, y = as_rows(x), as_rows(reference)
        sums = x.new_zeros((4, x.shape[0]), dtype=dtype)
        p, entropy, hard = None, None, find_hard_rows(x, y)
        if hard is not None:
            p, entropy = _sum_background(x, term, sums)
            x, y = x[hard], y[hard]
        for tile, rows in _hard_tiles(x, hard):
            _sum_exactly(x[tile], y[tile], rows, term, sums)

        ctx.save_for_backward(p, entropy, hard, x, y)
        ctx.term, ctx.margin, ctx.shape, ctx.dtype = term, margin, logits.shape, logits.dtype
        ctx.set_materialize_grads(False)
        predicted, overlap, volume = sums[:3].view(3, *pairs, -1).sum(-1)
        ctx.mark_non_differentiable(volume)
        return predicted, overlap, volume, sums[3].sum() if term else None

    @staticmethod
    @once_differentiable
    def backward(ctx, predicted: Tensor | None, overlap: Tensor | None, _volume, voxels: Tensor | None):
        """Gradient of the logits, computed in float32 and rounded once to their type."""
        p, entropy, hard, x, y = ctx.saved_tensors
        channels = 1 if ctx.margin else ctx.shape[1]
        pairs = ctx.shape[0] * channels
        flat = x.new_empty((ctx.shape[0], channels, *ctx.shape[2:]), dtype=ctx.dtype).view(-1, ctx.shape[-1])

        def per_row(gradient: Tensor | None) -> Tensor:
            if gradient is None:
                gradient = flat.new_zeros(pairs, dtype=torch.float32)
            return gradient.reshape(-1, 1).expand(-1, flat.shape[0] // pairs).reshape(-1, 1)

        predicted, overlap = per_row(predicted), per_row(overlap)
        if p is not None:
            for tile in tiles(p):
                entropies = None if entropy is None else entropy[tile]
                flat[tile] = _background_gradient(p[tile], entropies, predicted[tile], voxels, ctx.term)
        for tile, rows in _hard_tiles(x, hard):
            flat[rows] = _exact_gradient(x[tile], y[tile], predicted[rows], overlap[rows], voxels, ctx.term).to(
                ctx.dtype
            )
        gradient = flat.view(ctx.shape[0], channels, *ctx.shape[2:])
        if ctx.margin:
            gradient = torch.cat([-gradient, gradient], 1)
        return gradient, None, None, None, None


def find_hard_rows(x: Tensor, y: Tensor) -> Tensor | None:
    """Index of the rows that hold foreground or a confident prediction of it; None for all rows at once.

    Off the CPU it is None: to find them would wait for the device, where a dense pass costs little.
    """
    if x.device.type != "cpu":
        return None
    return ((row_maximum(y) > 0) | (row_maximum(x) > CONFIDENT)).nonzero()[:, 0]


def _hard_tiles(x: Tensor, hard: Tensor | None) -> Iterator[tuple[slice, Tensor | slice]]:
    """Pieces of the hard rows `x`, and where these stand among all rows."""
    if hard is None:
        yield slice(None), slice(None)
    else:
        yield from ((tile, hard[tile]) for tile in tiles(x))


def _sum_background(x: Tensor, term: VoxelTerm | None, sums: Tensor) -> tuple[Tensor, Tensor | None]:
    """Fills `sums` as if all rows held background alone; returns p and, where the slope needs it, the cross-entropy."""
    p = x.new_empty(x.shape, dtype=sums.dtype)
    entropy = torch.empty_like(p) if term and term.slope else None
    for tile in tiles(x):
        wrong = torch.sigmoid(x[tile].to(p.dtype), out=p[tile])
        torch.sum(wrong, -1, out=sums[0, tile])
        if term:
            entropies = wrong.neg().log1p_().neg_()
            torch.sum(term.value(wrong, entropies), -1, out=sums[3, tile])
            if entropy is not None:
                entropy[tile] = entropies
    if term:
        sums[3] *= term.background
    return p, entropy


def _background_gradient(
    wrong: Tensor, entropy: Tensor | None, predicted: Tensor, voxels: Tensor | None, term: VoxelTerm | None
) -> Tensor:
    right = 1 - wrong
    gradient = right * predicted
    if voxels is not None:
        scale = voxels * term.background
        gradient += scale if entropy is None else term.slope(wrong, right, entropy).mul_(scale)
    return gradient.mul_(wrong)


def _exact(x: Tensor, y: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Where foreground is, q, 1 - q and e, each to the last digits in both tails."""
    foreground = y > 0
    x = x.to(dtype)
    wrongness = torch.where(foreground, -x, x)
    return foreground, torch.sigmoid(wrongness), torch.sigmoid(-wrongness), wrongness


def _sum_exactly(x: Tensor, y: Tensor, rows: Tensor | slice, term: VoxelTerm | None, sums: Tensor) -> None:
    foreground, wrong, right, wrongness = _exact(x, y, sums.dtype)
    sums[0, rows] = torch.where(foreground, right, wrong).sum(-1)
    sums[1, rows] = torch.where(foreground, right, 0).sum(-1)
    sums[2, rows] = foreground.sum(-1, dtype=sums.dtype)
    if term:
        factor = torch.where(foreground, term.foreground, term.background)
        sums[3, rows] = (term.value(wrong, softplus(wrongness)) * factor).sum(-1)


def _exact_gradient(
    x: Tensor, y: Tensor, predicted: Tensor, overlap: Tensor, voxels: Tensor | None, term: VoxelTerm | None
) -> Tensor:
    foreground, wrong, right, wrongness = _exact(x, y, predicted.dtype)
    gradient = right * torch.where(foreground, predicted + overlap, predicted)
    if voxels is not None:
        factor = torch.where(foreground, -term.foreground, term.background) * voxels
        gradient += factor if term.slope is None else term.slope(wrong, right, softplus(wrongness)) * factor
    return gradient.mul_(wrong)
