"""Tensors as rows of voxels (lines along the last axis of a channel), and which rows need the full formula.

On the CPU all rows are first summed as background that the network sees as such, for which short formulas do. The few
that hold foreground, or a confident prediction of it, are gathered (the exact rows) and summed by the full formula.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

# for each thread: a few float32 tensors of this many voxels stay near its core, where a pass costs half
TILE_VOXELS = 2**17
# bounds the memory of what lies between input and result
ACCELERATOR_TILE_VOXELS = 2**22
# up to this probability p of foreground, rounding leaves 1 - p and log(1 - p) good to 3e-5 in float32
CONFIDENT = 0.998
# its p, derivative and cross-entropy are exactly 0, in float16 too
IGNORED_LOGIT = -1e4


def as_rows(tensor: Tensor) -> Tensor:
    """(B, C, *spatial) as (rows, voxels of a row)."""
    return tensor.reshape(-1, tensor.shape[-1])


def weights_as_rows(weight: Tensor | None) -> Tensor | None:
    """Weights of voxels as rows; None for None."""
    return None if weight is None else as_rows(weight)


def tiles(rows: Tensor, dim: int = 0) -> Iterator[slice]:
    """Slices of consecutive rows along `dim`, each of a size that suits the device."""
    at_once = TILE_VOXELS * torch.get_num_threads() if rows.device.type == "cpu" else ACCELERATOR_TILE_VOXELS
    count = rows.shape[dim]
    step = max(1, at_once * count // max(1, rows.numel()))
    for start in range(0, count, step):
        yield slice(start, start + step)


def background_first(rows: Tensor) -> bool:
    """Tells whether short formulas pay: on an accelerator they would mean a wait, and exact passes cost little."""
    return rows.device.type == "cpu"


def find_exact(reference: Tensor, peak: Tensor) -> Tensor:
    """Index of the rows that hold foreground (positive in `reference`) or whose highest p of foreground is near 1."""
    if reference.dtype == torch.bool:
        reference = reference.view(torch.uint8)  # for which the reduction is vectorised
    return ((reference.amax(-1) > 0) | (peak > CONFIDENT)).nonzero()[:, 0]


def take(rows: Tensor, index: Tensor | None) -> Tensor:
    """The rows at `index`; all of them, not copied, for None."""
    return rows if index is None else rows.index_select(0, index)


def put(rows: Tensor, index: Tensor | None, values: Tensor) -> None:
    """Overwrites the rows at `index` (all for None)."""
    if index is None:
        rows.copy_(values)
    else:
        rows.index_copy_(0, index, values)
