"""Where the lesions of a preprocessed dataset are: found once, kept beside the preprocessed data.

nnU-Net keeps 10,000 voxels a class (1 % where that is more) without asking which lesion they belong to, so that small
lesions lose theirs to large ones. Here each lesion has voxels of its own.
"""

import zipfile
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np
from scipy import ndimage

from nnunetv2_sizepenalty.atomic import atomic_file
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.lesions import component_voxels, label_components
from nnunetv2_sizepenalty.nnunet_io.training_cases import read_preprocessed
from nnunetv2_sizepenalty.parallel import map_cases

FOLDER = "lesion_locations"
MOST_VOXELS = 1000
_FORMAT = 1


@dataclass(frozen=True)
class CaseLesions:
    """The lesions of one preprocessed case: connected components of each foreground class or region.

    Attributes:
        shape: of the preprocessed case, (z, y, x).
        channel: foreground class or region of each lesion, an index into `Labels.channels`; int (n,).
        voxels: size of each lesion at the plan's spacing; int (n,).
        coordinates: (z, y, x) of up to `MOST_VOXELS` voxels of each lesion, drawn at random; uint16 (m, 3).
        starts: lesion i has `coordinates[starts[i] : starts[i + 1]]`; int (n + 1,).
    """

    shape: np.ndarray
    channel: np.ndarray
    voxels: np.ndarray
    coordinates: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.voxels)

    def of(self, lesion: int) -> np.ndarray:
        """(z, y, x) of the lesion's stored voxels, int (k, 3)."""
        return self.coordinates[self.starts[lesion] : self.starts[lesion + 1]].astype(int)


def locate_lesions(labels: np.ndarray, channels: Sequence[Sequence[int]], *, slicewise: bool = False) -> CaseLesions:
    """Finds the lesions of a label map.

    Args:
        labels: (z, y, x); one slice where the images are 2D.
        channels: values of each class or region, as `Labels.channels`.
        slicewise: components within each slice, which is what a 2D network sees of a volume.
    """
    generator = np.random.default_rng(0)
    channel, voxels, coordinates = [], [], [np.empty((0, 3), np.uint16)]
    for index, values in enumerate(channels):
        mask = np.isin(labels, values)
        (box,) = ndimage.find_objects(mask.view(np.uint8)) or (None,)
        if box is None:
            continue
        components, n = _components(mask[box], slicewise)
        channel += [index] * n
        voxels.append(component_voxels(components, n))
        inside = _some_of_each(components, generator)
        coordinates += [found + [side.start for side in box] for found in inside]
    starts = np.cumsum([0, *(len(found) for found in coordinates[1:])])
    return CaseLesions(
        shape=np.array(labels.shape),
        channel=np.array(channel, dtype=int),
        voxels=np.concatenate([np.empty(0, int), *voxels]),
        coordinates=np.concatenate(coordinates).astype(np.uint16),
        starts=starts,
    )


def _components(mask: np.ndarray, slicewise: bool) -> tuple[np.ndarray, int]:
    if not slicewise:
        return label_components(mask)
    total, slices = 0, []
    for plane in mask:
        labels, n = label_components(plane)
        slices.append(np.where(labels > 0, labels.astype(np.int64) + total, 0))
        total += n
    return np.stack(slices), total


def _some_of_each(components: np.ndarray, generator: np.random.Generator) -> list[np.ndarray]:
    """Up to `MOST_VOXELS` voxels of each component, all where it has fewer."""
    flat = np.flatnonzero(components)
    flat = flat[generator.permutation(len(flat))]
    belongs = components.ravel()[flat]
    order = np.argsort(belongs, kind="stable")
    starts = np.flatnonzero(np.diff(belongs[order], prepend=0))
    return [
        np.stack(np.unravel_index(np.sort(part[:MOST_VOXELS]), components.shape), axis=1)
        for part in np.split(flat[order], starts[1:])
    ]


def find_lesions(
    folder: str | Path,
    identifiers: Sequence[str],
    channels: Sequence[Sequence[int]],
    *,
    slicewise: bool = False,
    processes: int = 1,
) -> dict[str, CaseLesions]:
    """Finds the lesions of preprocessed cases, from `folder`/lesion_locations where they were found before.

    They are found anew where a case's segmentation file or the dataset's classes have changed. In a folder that can't
    be written to they are found each time.

    Args:
        folder: preprocessed cases of a configuration.
        identifiers, channels, slicewise: which cases, and what a lesion is, as for `locate_lesions`.
        processes: at most, where many cases have to be looked at.

    Returns:
        identifier -> lesions, in the order of `identifiers`.

    Raises:
        UserError: a case has not been preprocessed.
    """
    what = (Path(folder), tuple(tuple(map(int, values)) for values in channels), slicewise)
    known = {case: _read(*what, case) for case in identifiers}
    new = [case for case in identifiers if known[case] is None]
    if new:
        # starting a process takes as long as dozens of cases
        processes = min(processes, len(new) // 50)
        found = map_cases(partial(_find, *what), new, processes=processes, description="Lesions")
        known |= zip(new, found, strict=True)
    return known


def _find(folder: Path, channels: tuple, slicewise: bool, identifier: str) -> CaseLesions:
    key = _key(folder, channels, slicewise, identifier)
    segmentation, _ = read_preprocessed(folder, identifier)
    lesions = locate_lesions(segmentation[0], channels, slicewise=slicewise)
    try:
        with atomic_file(_path(folder, identifier, slicewise)) as temporary:
            np.savez(temporary, key=key, **dict(zip((f.name for f in fields(lesions)), astuple(lesions), strict=True)))
    except OSError:
        pass  # a folder that is not ours to write to
    return lesions


def _read(folder: Path, channels: tuple, slicewise: bool, identifier: str) -> CaseLesions | None:
    try:
        with np.load(_path(folder, identifier, slicewise)) as saved:
            if str(saved["key"]) == _key(folder, channels, slicewise, identifier):
                return CaseLesions(**{field.name: saved[field.name] for field in fields(CaseLesions)})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass  # not found yet, or damaged: found anew
    return None


def _path(folder: Path, identifier: str, slicewise: bool) -> Path:
    # a folder of its own: nnU-Net's listing of cases looks at files, its preprocessing removes everything
    return folder / FOLDER / f"{identifier}{'_slices' if slicewise else ''}.npz"


def _key(folder: Path, channels: tuple, slicewise: bool, identifier: str) -> str:
    """Changes with the case's segmentation and with what is looked for in it."""
    names = (f"{identifier}_seg.b2nd", f"{identifier}_seg.npy", f"{identifier}.npz")
    file = next((path for name in names if (path := folder / name).is_file()), None)
    if file is None:
        raise UserError(f"{folder}: holds no segmentation of case {identifier}; run nnUNetv2_preprocess again")
    state = file.stat()
    return repr((_FORMAT, MOST_VOXELS, channels, slicewise, file.name, state.st_size, state.st_mtime_ns))
