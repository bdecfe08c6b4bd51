"""What becomes of a case's lesions under a plan: voxels that they keep, forced patches that meet them, S's weight."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.preprocessing.resampling.default_resampling import compute_new_shape
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from scipy.spatial import cKDTree

from nnunetv2_sizepenalty.audit.raw_case import Box
from nnunetv2_sizepenalty.nnunet_io.plan import Plan
from nnunetv2_sizepenalty.nnunet_io.training_cases import read_preprocessed
from nnunetv2_sizepenalty.sampling.lesion_locations import CaseLesions

CENTRES_PER_LESION = 5


@dataclass(frozen=True)
class PlannedCase:
    """A case at the plan's spacing.

    Attributes:
        labels: the label map (z, y, x), axes as the plan transposes them.
        box: the part of the transposed raw image that it was made from.
        shape: of the transposed raw image.
        spacing_mm: of the raw image, transposed.
        class_locations: nnU-Net's sampled voxels, class or region -> (n, 4) with a leading channel axis.
        preprocessed: read from the preprocessed data, else resampled here.
    """

    labels: np.ndarray
    box: Box
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    class_locations: Mapping
    preprocessed: bool


def planned_case(
    case: str, segmentation: np.ndarray, spacing_mm: Sequence[float], box: Box, plan: Plan, settings: dict
) -> PlannedCase:
    """From the preprocessed data, or made of the raw label map by nnU-Net's own functions where there are none.

    Args:
        segmentation: raw label map (z, y, x).
        spacing_mm: of it.
        box: outside which all channels are 0.
        settings: dataset.json.
    """
    order = plan.manager.transpose_forward
    shape, spacing = (tuple(values[axis] for axis in order) for values in (segmentation.shape, spacing_mm))
    if plan.has(case):
        labels, properties = read_preprocessed(plan.folder, case)
        box = tuple(slice(*edges) for edges in properties["bbox_used_for_cropping"])
        shape = tuple(properties["shape_before_cropping"])
        return PlannedCase(labels[0], box, shape, spacing, properties["class_locations"], True)
    box = tuple(box[axis] for axis in order)
    raw = segmentation.transpose(order)[box]
    target = list(plan.settings.spacing)
    target = [spacing[0], *target] if len(target) < len(spacing) else target  # 2D: slices stay as they are
    new_shape = compute_new_shape(raw.shape, spacing, target)
    labels = plan.settings.resampling_fn_seg(raw[None].astype(np.float32), new_shape, spacing, target)
    labels = np.rint(np.asarray(labels)).astype(np.int32)
    locations = DefaultPreprocessor._sample_foreground_locations(labels, _sampled_classes(plan.label_manager(settings)))
    return PlannedCase(labels[0], box, shape, spacing, locations, False)


def _sampled_classes(manager: LabelManager) -> list:
    """The classes or regions that nnU-Net's preprocessing samples voxels of (`DefaultPreprocessor.run_case_npy`)."""
    wanted = list(manager.foreground_regions if manager.has_regions else manager.foreground_labels)
    return wanted + ([[-1, *manager.all_labels]] if manager.has_ignore_label else [])


def lesion_origins(mask: np.ndarray, components: np.ndarray, planned: PlannedCase) -> np.ndarray:
    """Finds the raw lesion that each foreground voxel at the plan's spacing comes from: the nearest to its centre.

    Args:
        mask: of a class or region in the planned case, bool (z, y, x).
        components: raw lesions 1 to n in the cropped, transposed raw image, 0 elsewhere.

    Returns:
        Numbers of lesions, int (z, y, x); 0 outside the mask, and everywhere where the raw image has no lesion.
    """
    origins = np.zeros(mask.shape, dtype=np.int32)
    if not mask.any() or not components.any():
        return origins
    scale = np.array(components.shape) / mask.shape
    places = scale * (np.argwhere(mask) + 0.5) - 0.5
    inside = np.clip(np.rint(places).astype(int), 0, np.array(components.shape) - 1)
    found = components[tuple(inside.T)].astype(np.int32)
    if (missing := found == 0).any():
        lesions = np.argwhere(components)
        _, nearest = cKDTree(lesions * planned.spacing_mm).query(places[missing] * planned.spacing_mm)
        found[missing] = components[tuple(lesions[nearest].T)]
    origins[mask] = found
    return origins


def forced_shares(planned: PlannedCase, values: Sequence[int]) -> tuple[np.ndarray, float]:
    """nnU-Net's sampled voxels of a class or region, and how often a forced patch of this case is one of that class.

    A forced patch draws one of the classes that the case has, then one of its sampled voxels
    (`nnUNetDataLoader.get_bbox`); the entry for the ignore label is drawn only where there is no other.

    Returns:
        (z, y, x) of the voxels, int (n, 3), and the probability of the class.
    """
    there = {_values(key): at for key, at in planned.class_locations.items() if len(at)}
    foreground = {key: at for key, at in there.items() if -1 not in key}
    at = foreground.get(_values(values))
    return (np.empty((0, 3), int), 0.0) if at is None else (np.asarray(at)[:, 1:], 1 / len(foreground))


def _values(key) -> tuple[int, ...]:
    return tuple(sorted({int(value) for value in key})) if isinstance(key, (tuple, list)) else (int(key),)


class ForcedPatch:
    """Where nnU-Net puts a patch that is forced onto a voxel (`nnUNetDataLoader.get_bbox`)."""

    def __init__(self, size: Sequence[int], manager: LabelManager):
        self._loader = nnUNetDataLoader(SimpleNamespace(identifiers=[]), 1, size, size, manager)

    def around(self, voxel: np.ndarray, shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Lowest voxel of the patch and the first one behind it, cut off at the image's edge."""
        low, high = self._loader.get_bbox(np.array(shape), True, {1: np.array([[0, *voxel]])})
        return np.maximum(low, 0), np.minimum(high, shape)


def patches_of_lesion(
    lesion: int, lesions: CaseLesions, mask: np.ndarray, patch: ForcedPatch
) -> list[tuple[np.ndarray, int, float]]:
    """Measures what a few patches hold that are forced onto a lesion.

    Args:
        lesion: its number in `lesions`.
        mask: of its class or region, bool (z, y, x).

    Returns:
        For each patch its centre, V_g of all that it holds of the class, and V_k of this lesion alone, in voxels.
    """
    stored = lesions.of(lesion)
    centres = stored[np.unique(np.linspace(0, len(stored) - 1, CENTRES_PER_LESION).astype(int))]
    rows = []
    for centre in centres:
        low, high = patch.around(centre, mask.shape)
        everything = np.count_nonzero(mask[tuple(map(slice, low, high))])
        # of a lesion with more voxels than are stored, the share inside is estimated from those
        alone = lesions.voxels[lesion] * ((stored >= low) & (stored < high)).all(axis=1).mean()
        rows.append((centre, everything, alone))
    return rows
