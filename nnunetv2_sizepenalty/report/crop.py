"""Which part of a case the page carries, and how coarse: the head where there is an image, else around the lesions."""

from collections.abc import Sequence

import numpy as np

from nnunetv2_sizepenalty.lesions.boxes import bounding_box, grow_box

Box = tuple[slice, slice, slice]

MARGIN_MM = 20.0
# A channel of a case costs about half a megabyte in the page: 0.5 bytes a voxel after gzip, 4/3 for base64.
MAX_VOXELS = 800_000
# A lesion of three voxels is still one to see. Where the whole head would be coarser, its surroundings are shown alone.
MAX_SHRINK = 2


def foreground_box(image: np.ndarray) -> Box:
    """Bounding box of what an image (x, y, z) shows, the air around it left out; everything where nothing stands out.

    The threshold is that of BET: a tenth of the way from the 2nd to the 98th percentile (Smith 2002,
    doi:10.1002/hbm.10062). Planes with less than 1 % above it hold noise.
    """
    image = np.nan_to_num(np.asarray(image, dtype=np.float32))
    low, high = np.percentile(image, (2, 98))
    above = image > low + 0.1 * (high - low)
    shares = [above.mean(axis=tuple({0, 1, 2} - {axis})) for axis in range(3)]
    held = [np.flatnonzero(share > 0.01) for share in shares]
    if not all(len(planes) for planes in held):
        return tuple(slice(0, n) for n in image.shape)
    return grow_box([slice(planes[0], planes[-1] + 1) for planes in held], (1, 1, 1), image.shape)


def choose_box(masks: np.ndarray, foreground: Box | None, spacing_mm: np.ndarray) -> Box:
    """The part to show.

    Args:
        masks: where a lesion is, of reference or prediction.
        foreground: of the image, None without one.
        spacing_mm: of its axes.

    Returns:
        Foreground and lesions together, if `MAX_SHRINK` brings that to `MAX_VOXELS`; else as much of it around the
        lesions as does, 20 mm at least. Without an image the lesions with 20 mm around them. Everything where there is
        neither.
    """
    shape, lesions = masks.shape, bounding_box(masks)
    if not masks.any():
        return foreground or tuple(slice(0, n) for n in shape)
    close = _grown(lesions, MARGIN_MM, shape, spacing_mm)
    if foreground is None:
        return close
    whole = _hull(lesions, foreground)
    if _fits(whole, spacing_mm):
        return whole
    best = close
    for margin_mm in np.arange(MARGIN_MM, 200, 5):
        grown = _grown(lesions, margin_mm, shape, spacing_mm)
        box = _hull(lesions, tuple(_within(g, f) for g, f in zip(grown, foreground, strict=True)))
        if not _fits(box, spacing_mm):
            break
        best = box
    return best


def shrink_factors(shape: Sequence[int], spacing_mm: np.ndarray, max_voxels: int = MAX_VOXELS) -> tuple[int, int, int]:
    """Factors that bring `shape` to at most `max_voxels`, the finest axes first."""
    factors = np.ones(3, dtype=int)
    while np.prod(np.ceil(np.array(shape) / factors)) > max_voxels:
        step = np.where(np.array(shape) > factors, spacing_mm * factors, np.inf)
        factors[step < step.min() * 1.01] += 1
    return tuple(int(f) for f in factors)


def box_shape(box: Box) -> tuple[int, int, int]:
    """Voxels along each axis."""
    return tuple(s.stop - s.start for s in box)


def _fits(box: Box, spacing_mm: np.ndarray) -> bool:
    return max(shrink_factors(box_shape(box), spacing_mm)) <= MAX_SHRINK


def _grown(box: Box, margin_mm: float, shape: Sequence[int], spacing_mm: np.ndarray) -> Box:
    return grow_box(box, np.ceil(margin_mm / spacing_mm), shape)


def _hull(first: Box, second: Box) -> Box:
    return tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(first, second, strict=True))


def _within(inner: slice, outer: slice) -> slice:
    start = min(max(inner.start, outer.start), outer.stop)
    return slice(start, max(start, min(inner.stop, outer.stop)))
