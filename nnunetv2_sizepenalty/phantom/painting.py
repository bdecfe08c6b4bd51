"""Planned lesions become soft fractions of voxels: grown inside the tissue to their volume, with soft edges."""

import numpy as np

from nnunetv2_sizepenalty.phantom.lesion_shapes import PlannedLesion, radius_mm
from nnunetv2_sizepenalty.phantom.subject import Subject, posterior_fossa


class Canvas:
    """The tissue that is still free to be lesion; lesions keep apart and stay on their side of the midline."""

    def __init__(self, subject: Subject, swelling: float):
        self.subject = subject
        # Swelling closes sulci, so a lesion also takes the voxels that they leave.
        self.free = subject.brain & (subject.csf(swelling) < 0.5)
        self.fossa = posterior_fossa(subject.points_mm)

    def grow(self, lesion: PlannedLesion, edge_mm: float) -> tuple[tuple[slice, slice, slice], np.ndarray] | None:
        """A box of the grid and the lesion's fraction of each of its voxels (float32), or None where none is filled.

        The tissue that the lesion takes, and a gap around it, are free no more.
        """
        grid = self.subject.grid
        wanted = lesion.volume_ml / grid.voxel_ml
        if wanted < 0.5:
            return None
        reach = 2.6 * radius_mm(lesion.volume_ml) + 4 * edge_mm + 2 * max(grid.spacing_mm)
        while True:
            box = self._box(lesion.centre_mm, reach)
            points = self.subject.points_mm[(slice(None), *box)]
            shape = points.shape[1:]
            level = lesion.shape.level_mm(points.reshape(3, -1)).reshape(shape)
            domain = self.free[box] & self._same_territory(lesion.centre_mm, points, self.fossa[box])
            # Only levels that the box holds whole count.
            levels = np.sort(level[domain & (level < reach)])
            whole = all(s.start == 0 and s.stop == n for s, n in zip(box, grid.shape, strict=True))
            if len(levels) > wanted or whole:
                break
            reach *= 1.5
        if len(levels) < 0.5 * wanted or len(levels) == 0:
            return None
        n = min(max(round(wanted), 1), len(levels))
        border = float(levels[n - 1] + levels[min(n, len(levels) - 1)]) / 2
        fraction = 1 / (1 + np.exp(np.clip((level - np.float32(border)) / np.float32(edge_mm / 2), -30, 30)))
        fraction = np.where(domain, fraction, 0).astype(np.float32)
        fraction[fraction < 0.02] = 0
        self.free[box] &= level > border + 1.6 * max(min(grid.spacing_mm), 2.0)
        return box, fraction

    def _box(self, centre_mm: np.ndarray, reach_mm: float) -> tuple[slice, slice, slice]:
        """Voxels within `reach_mm` of a template point."""
        offsets = np.abs(self.subject.points_mm - centre_mm[:, None, None, None].astype(np.float32)).max(0)
        inside = offsets <= reach_mm
        if not inside.any():
            inside = offsets == offsets.min()
        slices = []
        for axis in range(3):
            found = np.flatnonzero(inside.any(tuple(a for a in range(3) if a != axis)))
            slices.append(slice(int(found[0]), int(found[-1]) + 1))
        return tuple(slices)

    @staticmethod
    def _same_territory(centre_mm: np.ndarray, points: np.ndarray, fossa: np.ndarray) -> np.ndarray:
        if posterior_fossa(centre_mm[:, None])[0]:
            return fossa
        if abs(centre_mm[0]) < 2:
            return ~fossa
        return ~fossa & (points[0] * np.sign(centre_mm[0]) > 0)
