"""One case as its raw files have it: geometry, content and labels, one file in memory at a time."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

import numpy as np
from scipy.ndimage import find_objects

from nnunetv2_sizepenalty.lesions import Spacing, label_components
from nnunetv2_sizepenalty.nnunet_io.spacing import spacing_of

# More values than that are no labels; their components are not worth the time.
MOST_COUNTED = 200

Box = tuple[slice, ...]


@dataclass(frozen=True)
class CasePaths:
    """The files of a case; `label` need not exist."""

    case: str
    images: tuple[Path, ...]
    label: Path


@dataclass(frozen=True)
class RawFile:
    """A file that could be read.

    Attributes:
        name: without its folder.
        geometry: property -> its numbers: shape and spacing (z, y, x), and what the reader knows of place.
        spacing_mm: the same spacing, which knows what a voxel measures; 1 for the axis that a 2D image hasn't.
        constant: channels of the file whose voxels all hold one value -> that value.
        n_channels: 1 for a label.
        content: hash of shape and voxels; None where every channel is constant.
    """

    name: str
    geometry: Mapping[str, tuple[float, ...]]
    spacing_mm: Spacing
    constant: Mapping[int, float]
    n_channels: int
    content: str | None


@dataclass(frozen=True)
class RawCase:
    """What the raw files of a case say.

    Attributes:
        case: identifier.
        images, label: those that can be used.
        unreadable: one line for each file that can't.
        components: label value -> connected components of it (`components_of_values`).
    """

    case: str
    images: tuple[RawFile, ...] = ()
    label: RawFile | None = None
    unreadable: tuple[str, ...] = ()
    components: Mapping[int, int] = field(default_factory=dict)


def read_raw_case(paths: CasePaths, reader: type) -> tuple[RawCase, np.ndarray | None, Box | None]:
    """Reads each file by itself, as nnU-Net's reader refuses channels that do not fit each other.

    Args:
        reader: nnU-Net's reader and writer class of the data set.

    Returns:
        What was found; the label map (z, y, x), None where it can't be used; and the box outside which every channel
        is 0, which nnU-Net crops to (all of the image where nothing is), None without an image.
    """
    images, unreadable, boxes = [], [], []
    for path in paths.images:
        array, properties = _read(reader().read_images, path, unreadable)
        if array is not None:
            images.append(_raw_file(path, array, properties))
            boxes.append(_nonzero_box(array))
    label, segmentation = None, None
    if not paths.label.is_file():
        unreadable.append(f"{paths.label.name}: is missing")
    else:
        array, properties = _read(lambda names: reader().read_seg(names[0]), paths.label, unreadable)
        if array is not None:
            segmentation = _labels(array, paths.label, unreadable)
            label = None if segmentation is None else _raw_file(paths.label, array, properties)
    components = {} if segmentation is None else components_of_values(segmentation)
    case = RawCase(paths.case, tuple(images), label, tuple(unreadable), components)
    return case, segmentation, _hull(boxes, images)


def _read(read, path: Path, unreadable: list[str]):
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # nnU-Net's readers print what the checks say
            return read((str(path),))
    except Exception as error:
        # Readers raise whatever their libraries do; the last line is what helps.
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        unreadable.append(f"{path.name}: {reason}")
        return None, None


def _raw_file(path: Path, array: np.ndarray, properties: dict) -> RawFile:
    known = {**properties.get("sitk_stuff", {}), **properties.get("nibabel_stuff", {})}
    names = {"origin": "origin", "direction": "direction", "original_affine": "affine"}
    geometry = {"shape": array.shape[1:], "spacing": properties["spacing"]}
    geometry |= {title: known[name] for name, title in names.items() if name in known}
    ends = [(channel.min(), channel.max()) for channel in array]
    constant = {index: float(low) for index, (low, high) in enumerate(ends) if low == high}
    digest = blake2b(repr(array.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(array))
    return RawFile(
        path.name,
        {name: tuple(float(value) for value in np.ravel(values)) for name, values in geometry.items()},
        spacing_of(properties),
        constant,
        len(array),
        None if len(constant) == len(array) else digest.hexdigest(),
    )


def _labels(array: np.ndarray, path: Path, unreadable: list[str]) -> np.ndarray | None:
    """The integer label map of what `read_seg` gave."""
    if len(array) != 1:
        unreadable.append(f"{path.name}: has {len(array)} channels, a label map has one")
        return None
    whole = np.rint(array[0])
    if not np.array_equal(whole, array[0]) or whole.min() < 0 or whole.max() > np.iinfo(np.int32).max:
        unreadable.append(f"{path.name}: holds values that are no labels, such as fractions or negative ones")
        return None
    return whole.astype(np.int32)


def components_of_values(segmentation: np.ndarray) -> dict[int, int]:
    """Label value above 0 -> its connected components; 0 for those beyond the first `MOST_COUNTED` values."""
    values = np.unique(segmentation[segmentation > 0])
    counted = values[:MOST_COUNTED]
    places = np.where(np.isin(segmentation, counted), np.searchsorted(counted, segmentation) + 1, 0)
    boxes = zip(counted, find_objects(places), strict=True)
    found = {int(value): label_components(segmentation[box] == value)[1] for value, box in boxes}
    return {int(value): found.get(int(value), 0) for value in values}


def _nonzero_box(array: np.ndarray) -> Box | None:
    """The smallest box (z, y, x) with all voxels that are not 0 in some channel."""
    return find_objects((array != 0).any(0).astype(np.uint8))[0] if array.any() else None


def _hull(boxes: Sequence[Box | None], images: Sequence[RawFile]) -> Box | None:
    found = [box for box in boxes if box is not None]
    if not images:
        return None
    if not found:
        return tuple(slice(0, int(n)) for n in images[0].geometry["shape"])
    return tuple(slice(min(s.start for s in axis), max(s.stop for s in axis)) for axis in zip(*found, strict=True))
