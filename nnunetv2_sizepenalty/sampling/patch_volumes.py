"""Foreground in training patches: V_g of patches that are drawn as nnU-Net's loader draws them.

Only segmentations are read and nothing is augmented; places are chosen by nnU-Net's own `get_bbox`, or around what
`_shifted` asks for.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetBaseDataset
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from scipy import ndimage

from nnunetv2_sizepenalty.nnunet_io.classes import labels_of
from nnunetv2_sizepenalty.sampling.shifted import Held, place_forced_patches

PATCHES_PER_CASE = 20


@dataclass(frozen=True)
class PatchKind:
    """Patches of one size, and how a recipe places them.

    Attributes:
        size: voxels, two or three axes, as in the plan.
        foreground: share that is forced onto foreground.
        probabilistic: whether that is drawn for each patch, or decided by its place in the batch.
        probability: of a batch to consist of these patches.
        held: what a forced patch holds anywhere; None for a voxel at its centre, as nnU-Net places it.
    """

    size: tuple[int, ...]
    foreground: float
    probabilistic: bool
    probability: float = 1.0
    held: Held | None = None


@dataclass(frozen=True)
class PatchVolumes:
    """What n training patches hold, in the order of the cases.

    Attributes:
        identifiers: of the cases.
        case: each patch's case, an index into `identifiers`; int (n,).
        kind: its kind, an index into the recipe's kinds; int (n,).
        forced: whether it was forced onto foreground; bool (n,).
        corner: its lowest voxel (z, y, x), which may lie outside the image; int (n, 3).
        voxels: V_g of each foreground region or class, in voxels; int (n, channels).
        valid: voxels that are not ignored, padding included; int (n,).
    """

    identifiers: tuple[str, ...]
    case: np.ndarray
    kind: np.ndarray
    forced: np.ndarray
    corner: np.ndarray
    voxels: np.ndarray
    valid: np.ndarray


def draw_patch_volumes(
    dataset: nnUNetBaseDataset,
    kinds: Sequence[PatchKind],
    label_manager: LabelManager,
    batch_size: int,
    *,
    per_case: int = PATCHES_PER_CASE,
    seed: int = 0,
) -> PatchVolumes:
    """Draws `per_case` patches of every case of `dataset`; the same ones for the same seed.

    Args:
        dataset: preprocessed cases; what their properties say of `class_locations` decides where forced patches lie.
        kinds: of the recipe, their probabilities add up to 1.
        label_manager: of the dataset.
        batch_size: of all processes together.
    """
    channels = labels_of(label_manager).channels
    member = np.array([[label in values for values in channels] for label in range(_highest(label_manager) + 1)])
    loaders = [_loader(dataset, kind, label_manager, batch_size) for kind in kinds]
    cumulative = np.cumsum([kind.probability for kind in kinds])[:-1]
    rows = []
    for case, identifier in enumerate(dataset.identifiers):
        _, segmentation, _, properties = dataset.load_case(identifier)
        image = _LabelCounts(np.asarray(segmentation[0]), len(member))
        with _numpy_seeded(seed, case):
            for number in range(per_case):
                kind = int(np.searchsorted(cumulative, np.random.uniform(), side="right"))
                loader = loaders[kind]
                forced = bool(loader.get_do_oversample((case * per_case + number) % batch_size))
                low, high = loader.get_bbox(image.shape, forced, properties["class_locations"])
                rows.append((case, kind, forced, low, math.prod(loader.patch_size), image.inside(low, high)))
    case, kind, forced, corner, size, counts = (np.array(column) for column in zip(*rows, strict=True))
    ignored = counts[:, label_manager.ignore_label] if label_manager.has_ignore_label else 0
    return PatchVolumes(tuple(dataset.identifiers), case, kind, forced, corner, counts @ member, size - ignored)


def _loader(
    dataset: nnUNetBaseDataset, kind: PatchKind, label_manager: LabelManager, batch_size: int
) -> nnUNetDataLoader:
    loader = nnUNetDataLoader(
        dataset,
        batch_size,
        kind.size,
        kind.size,
        label_manager,
        oversample_foreground_percent=kind.foreground,
        probabilistic_oversampling=kind.probabilistic,
    )
    return place_forced_patches(loader, kind.held)


def foreground_prior(volumes: PatchVolumes) -> np.ndarray:
    """Averages the share of foreground among a patch's valid voxels; of each region or class, float (channels,)."""
    some = volumes.valid > 0
    return (volumes.voxels[some] / volumes.valid[some, None]).mean(axis=0)


class _LabelCounts:
    """Counts the labels of a segmentation within boxes; only the part that holds any is kept."""

    def __init__(self, segmentation: np.ndarray, n_labels: int):
        self.shape = segmentation.shape
        self._n_labels = n_labels
        found = ndimage.find_objects((segmentation > 0).view(np.uint8))
        box = found[0] if found else (slice(0, 0),) * segmentation.ndim
        self._start = np.array([side.start for side in box])
        self._part = segmentation[box].clip(min=0)

    def inside(self, low: Sequence[int], high: Sequence[int]) -> np.ndarray:
        """Voxels of each label but 0 in a box that may reach outside the image, int (labels,)."""
        low, high = (np.maximum(np.asarray(edge) - self._start, 0) for edge in (low, high))
        part = self._part[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        counts = np.bincount(part.ravel(), minlength=self._n_labels)[: self._n_labels]
        counts[0] = 0
        return counts


def _highest(label_manager: LabelManager) -> int:
    ignore = label_manager.ignore_label if label_manager.has_ignore_label else 0
    return max(ignore, *label_manager.all_labels)


@contextmanager
def _numpy_seeded(*entropy: int) -> Iterator[None]:
    """nnU-Net's loader draws from NumPy's global stream: seeds it for a while and puts it back."""
    before = np.random.get_state()
    np.random.seed(np.random.SeedSequence(entropy).generate_state(4))
    try:
        yield
    finally:
        np.random.set_state(before)
