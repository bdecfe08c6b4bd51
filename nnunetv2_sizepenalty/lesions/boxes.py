"""The box that holds what is in an array, and what a box holds."""

from collections.abc import Sequence

import numpy as np


def bounding_box(*arrays: np.ndarray) -> tuple[slice, ...]:
    """Finds the smallest box that holds every voxel that is not 0 in any of the arrays, which have one shape.

    It is empty where there is no such voxel.

    >>> bounding_box(np.array([[0, 0, 0], [0, 1, 1]]))
    (slice(1, 2, None), slice(1, 3, None))
    """
    used = arrays[0] != 0
    for array in arrays[1:]:
        used |= array != 0
    box = []
    while used.ndim:
        along = np.flatnonzero(used.any(axis=tuple(range(1, used.ndim))))
        if not len(along):
            return (slice(0, 0),) * arrays[0].ndim
        box.append(slice(int(along[0]), int(along[-1]) + 1))
        used = used[box[-1]].any(axis=0)
    return tuple(box)


def grow_box(box: Sequence[slice], margin: Sequence[int], shape: Sequence[int]) -> tuple[slice, ...]:
    """Adds a margin of voxels on both sides of each axis, as far as an array of that shape goes.

    >>> grow_box((slice(1, 2), slice(1, 3)), (1, 5), (4, 4))
    (slice(0, 3, None), slice(0, 4, None))
    """
    return tuple(
        slice(max(0, part.start - int(by)), min(n, part.stop + int(by)))
        for part, by, n in zip(box, margin, shape, strict=True)
    )


def values_inside(array: np.ndarray, where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Looks up voxels of which some lie outside of the array.

    Args:
        where: indices, shape (voxels, axes).

    Returns:
        The values at those that lie inside, and which do, boolean, shape (voxels,).

    >>> values_inside(np.array([[5, 6], [7, 8]]), np.array([[1, 0], [-1, 0], [0, 1]]))[0].tolist()
    [7, 6]
    """
    inside = ((where >= 0) & (where < array.shape)).all(axis=1)
    return array[tuple(where[inside].T)], inside
