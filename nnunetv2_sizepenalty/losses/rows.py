"""Which rows of voxels need the full formula.

A row is a line of voxels along the last axis of one channel. Most rows of a patch hold background that the network
predicts as such; for those, one sigmoid is all it takes. The few others are gathered and computed exactly.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

# a few float32 tensors of this many voxels stay in a core's second-level cache, where a pass costs a third
TILE_VOXELS = 65536


def as_rows(tensor: Tensor) -> Tensor:
    """(B, C, *spatial) as (rows, voxels of a row)."""
    return tensor.reshape(-1, tensor.shape[-1])


def tiles(rows: Tensor) -> Iterator[slice]:
    """Slices of consecutive rows, each of about TILE_VOXELS voxels."""
    step = max(1, TILE_VOXELS // max(1, rows.shape[-1]))
    for start in range(0, rows.shape[0], step):
        yield slice(start, start + step)


def row_maximum(rows: Tensor) -> Tensor:
    """Highest value of each row; of booleans as uint8, for which the reduction is vectorised."""
    return (rows.view(torch.uint8) if rows.dtype == torch.bool else rows).amax(-1)
