"""Where lesions lie and what shape they have: planned in the template's space, painted on a subject's grid."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.spatial.transform import Rotation

from nnunetv2_sizepenalty.phantom.fields import SmoothField
from nnunetv2_sizepenalty.phantom.lesion_sizes import draw_volumes_ml
from nnunetv2_sizepenalty.phantom.parameters import LesionAppearance, LesionSizes
from nnunetv2_sizepenalty.phantom.subject import Subject, posterior_fossa


def radius_mm(volume_ml: float) -> float:
    """Radius of the sphere of that volume."""
    return float((3000 * volume_ml / (4 * np.pi)) ** (1 / 3))


class Shape(Protocol):
    """A solid: its level sets are the same lesion, smaller and larger."""

    def level_mm(self, points_mm: np.ndarray) -> np.ndarray:
        """About the distance in mm from the solid's core, at (3, n) template points."""


@dataclass(frozen=True)
class PlannedLesion:
    """A lesion before it meets the brain: its shape is grown until it holds `volume_ml` of tissue."""

    volume_ml: float
    centre_mm: np.ndarray
    shape: Shape


class LesionSource(Protocol):
    """Where a case's lesions come from."""

    def plan(self, rng: np.random.Generator, subject: Subject) -> list[PlannedLesion]:
        """The lesions of one case, the largest first."""


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid whose surface smooth noise of two scales pushes in and out."""

    centre_mm: np.ndarray
    to_sphere: np.ndarray
    irregularity: float
    coarse: SmoothField
    fine: SmoothField

    @classmethod
    def draw(cls, rng: np.random.Generator, centre_mm: np.ndarray, volume_ml: float, look: LesionAppearance):
        """A random one of about that volume."""
        radius = radius_mm(volume_ml)
        axes = np.exp(rng.normal(0, look.elongation_log_sd, 3))
        axes /= np.prod(axes) ** (1 / 3)
        rotation = Rotation.from_euler("xyz", rng.uniform(0, 2 * np.pi, 3)).as_matrix()
        reach = 4 * radius
        coarse = SmoothField(rng, knot_mm=1.0 * radius, reach_mm=reach, centre_mm=tuple(centre_mm))
        fine = SmoothField(rng, knot_mm=0.45 * radius, reach_mm=reach, centre_mm=tuple(centre_mm))
        return cls(centre_mm, np.diag(1 / axes) @ rotation, look.irregularity, coarse, fine)

    def level_mm(self, points_mm: np.ndarray) -> np.ndarray:
        offset = points_mm - self.centre_mm[:, None].astype(np.float32)
        radius = np.sqrt(((self.to_sphere.astype(np.float32) @ offset) ** 2).sum(0))
        noise = self.coarse.at(points_mm) + np.float32(0.4) * self.fine.at(points_mm)
        return radius * np.exp(np.float32(self.irregularity) * noise)


@dataclass(frozen=True)
class EllipsoidLesions:
    """The analytic source: the size model's volumes, one main lesion, half of the others near one another."""

    sizes: LesionSizes
    look: LesionAppearance

    def plan(self, rng: np.random.Generator, subject: Subject) -> list[PlannedLesion]:
        volumes = draw_volumes_ml(rng, self.sizes)
        places = TissuePlaces(subject)
        planned: list[PlannedLesion] = []
        for volume in volumes:
            near = planned[0] if planned and rng.random() < self.look.near_chance else None
            centre = places.draw(rng, volume, near, self.look.near_mm, planned)
            planned.append(PlannedLesion(float(volume), centre, Ellipsoid.draw(rng, centre, volume, self.look)))
        return planned


class TissuePlaces:
    """Random places in a subject's brain tissue."""

    def __init__(self, subject: Subject):
        # Every voxel of tissue, off the surface of the brain and the walls of the ventricles.
        tissue = subject.brain & (subject.csf() < 0.3)
        self.points_mm = subject.points_mm[:, tissue]
        weight = np.where(np.abs(self.points_mm[0]) > 14, 1.0, 0.5)
        weight[posterior_fossa(self.points_mm)] = 0.5
        self._cumulative = np.cumsum(weight)

    def draw(
        self,
        rng: np.random.Generator,
        volume_ml: float,
        near: PlannedLesion | None = None,
        near_mm: tuple[float, float] = (0.0, 0.0),
        others: list[PlannedLesion] | tuple = (),
        attempts: int = 30,
    ) -> np.ndarray:
        """(x, y, z) in template mm, beside `near` if given, clear of `others` if that can be had."""
        radius = radius_mm(volume_ml)
        for _ in range(attempts):
            centre = self._anywhere(rng) if near is None else self._beside(rng, near, radius, near_mm)
            if all(np.linalg.norm(centre - o.centre_mm) > 1.15 * (radius + radius_mm(o.volume_ml)) + 3 for o in others):
                break
        return centre

    def _anywhere(self, rng: np.random.Generator) -> np.ndarray:
        index = np.searchsorted(self._cumulative, rng.random() * self._cumulative[-1])
        return self.points_mm[:, min(index, len(self._cumulative) - 1)].astype(float)

    def _beside(self, rng: np.random.Generator, near: PlannedLesion, radius: float, near_mm: tuple) -> np.ndarray:
        direction = rng.standard_normal(3)
        distance = 1.15 * (radius + radius_mm(near.volume_ml)) + rng.uniform(*near_mm)
        wanted = near.centre_mm + distance * direction / np.linalg.norm(direction)
        nearest = ((self.points_mm - wanted[:, None].astype(np.float32)) ** 2).sum(0).argmin()
        return self.points_mm[:, nearest].astype(float)
