"""Tensors as rows of voxels (lines along the last axis of a channel), and work on them in cache-sized pieces."""

from collections.abc import Iterator

import torch
from torch import Tensor

# a few float32 tensors of this many voxels stay in a core's second-level cache, where a pass costs a third
TILE_VOXELS = 131072


def as_rows(tensor: Tensor) -> Tensor:
    """(B, C, *spatial) as (rows, voxels of a row)."""
    return tensor.reshape(-1, tensor.shape[-1])


def tiles(rows: Tensor) -> Iterator[slice]:
    """Slices of consecutive rows, each of about TILE_VOXELS voxels on the CPU, all rows elsewhere."""
    step = max(1, TILE_VOXELS // rows.shape[-1]) if rows.device.type == "cpu" else max(1, len(rows))
    for start in range(0, len(rows), step):
        yield slice(start, start + step)


def row_maximum(rows: Tensor) -> Tensor:
    """Highest value of each row; of booleans as uint8, for which the reduction is vectorised."""
    return (rows.view(torch.uint8) if rows.dtype == torch.bool else rows).amax(-1)


def take(rows: Tensor, index: Tensor | None) -> Tensor:
    """The rows at `index`; all of them, not copied, for None."""
    return rows if index is None else rows.index_select(0, index)


def put(rows: Tensor, index: Tensor | None, values: Tensor) -> None:
    """Overwrites the rows at `index` (all for None)."""
    if index is None:
        rows.copy_(values)
    else:
        rows.index_copy_(0, index, values)


def add(rows: Tensor, index: Tensor | None, values: Tensor) -> None:
    """Adds to the rows at `index` (all for None), which names no row twice."""
    if index is None:
        rows.add_(values)
    else:
        rows.index_add_(0, index, values)
