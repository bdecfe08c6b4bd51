"""Real lesions as a source: one patient's components in place, some with another's small ones on top."""

from dataclasses import dataclass

import numpy as np
from nibabel.affines import apply_affine
from scipy import ndimage

from nnunetv2_sizepenalty.lesions import label_components, voxels_to_ml
from nnunetv2_sizepenalty.phantom.lesion_masks import LesionMask, MaskFolder
from nnunetv2_sizepenalty.phantom.lesion_shapes import PlannedLesion
from nnunetv2_sizepenalty.phantom.parameters import MaskPlacement
from nnunetv2_sizepenalty.phantom.subject import Subject

# As the SOOP cohort's lesions are counted.
_CONNECTIVITY = 26
# Voxels around a component whose distances are kept; beyond them they are estimated.
_MARGIN = 5


@dataclass(frozen=True)
class MaskLesions:
    """A case's lesions from a folder of masks: all of `patient`'s, and the small ones of `added`.

    Volumes are the masks' own in mL, whatever the size of the subject's head: they are the cohort's statistics.
    """

    masks: MaskFolder
    patient: str
    added: str | None
    placement: MaskPlacement

    @classmethod
    def of_case(cls, masks: MaskFolder, seed: int, index: int, placement: MaskPlacement) -> "MaskLesions":
        """The patients of case `index` of the series `seed`: no two cases have the same before all had their turn."""
        n = len(masks.names)
        patient = int(np.random.default_rng(seed).permutation(n)[index % n])
        rng = np.random.default_rng([seed, index])
        added = None
        if rng.random() < placement.added_chance and n > 1:
            added = masks.names[(patient + int(rng.integers(1, n))) % n]
        return cls(masks, masks.names[patient], added, placement)

    @property
    def names(self) -> tuple[str, ...]:
        """The masks that go into the case."""
        return (self.patient,) if self.added is None else (self.patient, self.added)

    def plan(self, rng: np.random.Generator, subject: Subject) -> list[PlannedLesion]:
        planned = self._placed(rng, self.patient, np.inf)
        if self.added is not None:
            planned += self._placed(rng, self.added, self.placement.added_below_ml)
        return sorted(planned, key=lambda lesion: -lesion.volume_ml)

    def _placed(self, rng: np.random.Generator, name: str, below_ml: float) -> list[PlannedLesion]:
        mirror = rng.random() < self.placement.mirror_chance
        mask = self.masks.read(name).moved(mirror, rng.normal(0, self.placement.shift_sd_mm, 3))
        return components_of(mask, below_ml)


@dataclass(frozen=True)
class MaskShape:
    """A component's shape: level sets of the distance to its border, constant steps inwards and outwards.

    Attributes:
        level: float32 (z, y, x) in mm, the distance to the border (negative inside) plus the farthest voxel's distance
            to the core, so that no point is farther from the core than its level.
        affine: voxel (x, y, z) of `level` to template mm.
    """

    level: np.ndarray
    affine: np.ndarray

    @classmethod
    def of(cls, component: np.ndarray, affine: np.ndarray, spacing_mm: tuple) -> tuple["MaskShape", np.ndarray]:
        """The shape of a mask (z, y, x), and its core: the voxel that lies deepest, x, y, z in mm."""
        component = np.pad(component, _MARGIN)
        affine = affine @ _translation([-_MARGIN] * 3)
        # Distances between voxel centres, and half a voxel to the border between them.
        half = min(spacing_mm) / 2
        depth = ndimage.distance_transform_edt(component, sampling=spacing_mm)
        outwards = ndimage.distance_transform_edt(~component, sampling=spacing_mm)
        core = np.array(np.unravel_index(depth.argmax(), depth.shape))
        farthest = np.linalg.norm((np.argwhere(component) - core) * np.asarray(spacing_mm), axis=1).max()
        level = np.where(component, half - depth, outwards - half) + farthest + half
        return cls(level.astype(np.float32), affine), apply_affine(affine, core[::-1])

    def level_mm(self, points_mm: np.ndarray) -> np.ndarray:
        to_voxel = np.linalg.inv(self.affine).astype(np.float32)
        # Sums in a fixed order: a matrix product may differ in its last bit from machine to machine.
        x, y, z = (sum(row[i] * points_mm[i] for i in range(3)) + row[3] for row in to_voxel[:3])
        voxels = np.stack([z, y, x])
        last = np.array(self.level.shape, np.float32)[:, None] - 1
        inside = np.clip(voxels, 0, last)
        steps = np.sqrt((self.affine[:3, :3] ** 2).sum(0))[::-1].astype(np.float32)[:, None]
        beyond = np.sqrt((((voxels - inside) * steps) ** 2).sum(0))
        return ndimage.map_coordinates(self.level, inside, order=1, mode="nearest") + beyond


def components_of(mask: LesionMask, below_ml: float = np.inf) -> list[PlannedLesion]:
    """A mask's connected components of less than `below_ml` as lesions, in no order."""
    labels, _ = label_components(mask.voxels, _CONNECTIVITY)
    planned = []
    for i, box in enumerate(ndimage.find_objects(labels), start=1):
        component = labels[box] == i
        volume_ml = float(voxels_to_ml(component.sum(), mask.spacing_mm))
        if volume_ml >= below_ml:
            continue
        affine = mask.affine @ _translation([s.start for s in box[::-1]])
        shape, core_mm = MaskShape.of(component, affine, mask.spacing_mm)
        planned.append(PlannedLesion(volume_ml, core_mm, shape))
    return planned


def _translation(voxels: list[int]) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = voxels
    return matrix
