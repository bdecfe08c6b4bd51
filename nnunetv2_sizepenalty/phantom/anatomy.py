"""What an anatomy is, and the analytic one: a brain of ellipsoids and tubes in MNI millimetres."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class TissueMaps:
    """Probabilities of tissue in [0, 1], float32 arrays of one shape; `brain` is everything inside the skull."""

    white: np.ndarray
    grey: np.ndarray
    brain: np.ndarray

    @property
    def csf(self) -> np.ndarray:
        return np.maximum(self.brain - self.white - self.grey, 0)


class Anatomy(Protocol):
    """A template brain: an average without cortical folds, which `subject` makes one person's brain of."""

    def maps(self, points_mm: np.ndarray) -> TissueMaps:
        """Tissue at (3, ...) points, x (right), y (front), z (up) in MNI mm, float32."""


def _ellipsoid(p: np.ndarray, centre: tuple, half_axes: tuple, roundness: float = 2.0) -> np.ndarray:
    """Distance to an ellipsoid's surface in mm, negative inside; exact at the surface, approximate elsewhere.

    `roundness` above 2 fills its corners (a superellipsoid).
    """
    q = [(p[i] - np.float32(centre[i])) / np.float32(half_axes[i]) for i in range(3)]
    if roundness != 2.0:
        # Scaled along the ray from the centre onto the ellipsoid, which leaves the axes where they are.
        norm = np.sqrt(q[0] ** 2 + q[1] ** 2 + q[2] ** 2)
        power = sum(np.abs(c) ** np.float32(roundness) for c in q) ** np.float32(1 / roundness)
        q = [c * (power / np.maximum(norm, np.float32(1e-6))) for c in q]
    k0 = np.sqrt(q[0] ** 2 + q[1] ** 2 + q[2] ** 2)
    k1 = np.sqrt(sum((q[i] / np.float32(half_axes[i])) ** 2 for i in range(3)))
    return k0 * (k0 - 1) / np.maximum(k1, np.float32(1e-6))


def _tube(p: np.ndarray, a: tuple, b: tuple, radius_a: float, radius_b: float) -> np.ndarray:
    """Distance to a capsule from a to b whose radius goes from one value to the other."""
    ab = np.subtract(b, a).astype(np.float32)
    d = [p[i] - np.float32(a[i]) for i in range(3)]
    t = np.clip((d[0] * ab[0] + d[1] * ab[1] + d[2] * ab[2]) / (ab @ ab), 0, 1)
    gap = np.sqrt(sum((d[i] - t * ab[i]) ** 2 for i in range(3)))
    return gap - (radius_a + t * np.float32(radius_b - radius_a))


def _union(*distances: np.ndarray) -> np.ndarray:
    return np.minimum.reduce(distances)


def _smooth_union(a: np.ndarray, b: np.ndarray, mm: float) -> np.ndarray:
    """The union with its seam rounded over `mm`."""
    h = np.maximum(mm - np.abs(a - b), 0) / mm
    return np.minimum(a, b) - h * h * (mm / 4)


def _inside(distance: np.ndarray, blur_mm: float = 2.0) -> np.ndarray:
    return np.clip(0.5 - distance / np.float32(blur_mm), 0, 1)


@dataclass(frozen=True)
class AnalyticAnatomy:
    """Needs no file: the package's own anatomy, for the phantom command, the demo and tests.

    Symmetric about x = 0. Ellipsoids are (centre, half axes), tubes (from, to, radius, radius) in mm on the right side.
    """

    ribbon_mm: float = 3.8

    def maps(self, points_mm: np.ndarray) -> TissueMaps:
        p = np.stack([np.abs(points_mm[0]), points_mm[1], points_mm[2]])
        cerebrum = self._cerebrum(p)
        cerebellum = _union(_ellipsoid(p, (25, -64, -36), (28, 27, 19)), _ellipsoid(p, (0, -66, -32), (12, 22, 17)))
        stem = _union(
            _ellipsoid(p, (0, -26, -32), (15, 12, 15)),  # pons
            _tube(p, (0, -36, -70), (0, -28, -34), 7.5, 9.5),  # medulla
            _tube(p, (4, -26, -14), (11, -20, 0), 9.0, 9.0),  # peduncles
        )
        ventricles = ventricle_distance_mm(p)
        fissures = self._fissures(p)
        tissue = _smooth_union(_union(cerebrum, cerebellum), stem, 4)
        csf_inside = _union(ventricles, fissures)
        tissue_fraction = _inside(tissue) * (1 - _inside(csf_inside))
        # The skull's inside: the tissue with its cisterns filled, a little larger.
        skull = _smooth_union(_smooth_union(cerebrum, cerebellum, 14), _union(stem, _cisterns(p)), 10) - 0.6
        cortex = np.maximum(cerebrum, -fissures)
        grey = _inside(-(cortex + np.float32(self.ribbon_mm)))
        # White matter reaches the surface where the stem leaves the cerebrum; the ventricles have no ribbon.
        grey *= 1 - _inside(stem - 3)
        cerebellar_grey = _inside(cerebellum, 3) * _inside(-(_ellipsoid(p, (14, -58, -36), (17, 15, 9))), 6)
        grey = np.where(cerebellum < cerebrum, cerebellar_grey * (1 - _inside(stem)), grey)
        grey = np.maximum(grey, _inside(self._nuclei(p)))
        grey = (grey * tissue_fraction).astype(np.float32)
        brain = np.maximum(_inside(skull), tissue_fraction)
        return TissueMaps(white=(tissue_fraction - grey).astype(np.float32), grey=grey, brain=brain.astype(np.float32))

    @staticmethod
    def _cerebrum(p: np.ndarray) -> np.ndarray:
        hull = _ellipsoid(p, (0, -18, 12), (68, 86, 64), roundness=2.3)
        # The base rises towards the back (tentorium) and sinks to the orbits.
        base = -np.float32(24) + 0.10 * np.maximum(-(p[1] + 40), 0) - p[2]
        hull = np.maximum(hull, base)
        return _smooth_union(hull, _ellipsoid(p, (43, -10, -20), (24, 41, 22)), 6)

    @staticmethod
    def _fissures(p: np.ndarray) -> np.ndarray:
        """Sheets of CSF: between the hemispheres (not through the corpus callosum) and the Sylvian fissure."""
        callosum = _ellipsoid(p, (0, -8, 4), (60, 44, 24))
        between = np.maximum(p[0] - np.float32(1.3), -callosum)
        between = np.maximum(between, -np.float32(26) - p[2])
        # A slit that rises towards the back, wavy as its lips are, opening onto the insula.
        slit = p[2] + 4 + 0.55 * (p[1] - 6) - 2.5 * np.sin(p[0] / 5) - 2 * np.sin(p[1] / 6)
        sylvian = np.maximum(np.abs(slit) - np.float32(1.3), 41 - p[0])
        sylvian = np.maximum(sylvian, np.abs(p[1] + 8) - 32)
        shell = _ellipsoid(p, (0, -4, 2), (42, 44, 34)) + 1.5 * np.sin(p[1] / 4)
        insula = np.maximum(np.abs(shell) - np.float32(1.2), np.abs(slit) - 13)
        insula = np.maximum(insula, np.maximum(np.abs(p[1] + 2) - 24, 33 - p[0]))
        return _union(between, sylvian, insula, _cisterns(p))

    @staticmethod
    def _nuclei(p: np.ndarray) -> np.ndarray:
        return _union(
            _ellipsoid(p, (11, -18, 8), (8.5, 14, 8.5)),  # thalamus
            _ellipsoid(p, (26, 3, 2), (5.5, 15, 9)),  # putamen
            _ellipsoid(p, (19, -3, 0), (3.5, 8, 5)),  # pallidum
            _tube(p, (13, 18, 6), (17, -6, 22), 5.5, 3.0),  # caudate
            _tube(p, (27, -14, -19), (30, -34, -6), 5.5, 4.0),  # hippocampus
        )


def _cisterns(p: np.ndarray) -> np.ndarray:
    """The wells below and behind the midbrain."""
    return _union(
        _ellipsoid(p, (0, 0, -20), (13, 10, 7)),  # suprasellar
        _ellipsoid(p, (0, -42, -10), (14, 5, 7)),  # quadrigeminal
    )


def ventricle_distance_mm(points_mm: np.ndarray) -> np.ndarray:
    """Distance to the ventricles of a brain in MNI space at (3, ...) points, negative inside."""
    p = np.stack([np.abs(points_mm[0]), points_mm[1], points_mm[2]])
    return _union(
        _tube(p, (8, 34, 2), (11, 12, 17), 4.0, 5.5),  # frontal horn
        _tube(p, (11, 12, 17), (15, -22, 23), 5.5, 5.0),  # body
        _tube(p, (15, -22, 23), (25, -42, 14), 5.0, 6.5),  # atrium
        _tube(p, (25, -42, 14), (25, -74, 8), 6.5, 3.0),  # occipital horn
        _tube(p, (25, -42, 14), (36, -22, -14), 4.5, 2.2),  # temporal horn
        _ellipsoid(p, (0, -12, 2), (2.8, 15, 11)),  # third
        _ellipsoid(p, (0, -46, -32), (6.5, 5.5, 11)),  # fourth
        _tube(p, (0, -36, -18), (0, -30, -6), 1.4, 1.4),  # aqueduct
    )
