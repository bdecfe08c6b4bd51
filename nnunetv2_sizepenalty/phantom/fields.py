"""Smooth random fields that are functions of millimetres, so that a case looks alike on every grid."""

import numpy as np
import scipy.sparse
from scipy import ndimage

# A cubic B-spline with knots h apart smooths like a Gaussian of this many h.
_SD_PER_KNOT = 1 / np.sqrt(3)


def _basis(positions: np.ndarray, n_knots: int) -> scipy.sparse.csr_array:
    """Cubic B-spline weights (positions, knots), positions in knots; rows of unit length give unit variance."""
    u = np.abs(positions[:, None] - np.arange(n_knots)[None])
    weights = np.where(u < 1, 2 / 3 - u**2 + u**3 / 2, np.where(u < 2, (2 - u) ** 3 / 6, 0))
    weights /= np.sqrt((weights**2).sum(1, keepdims=True))
    # Sparse products run on one thread in one order: the same bytes whatever the BLAS.
    return scipy.sparse.csr_array(weights.astype(np.float32))


class SmoothField:
    """Gaussian random field of mean 0 and variance 1 around a point.

    Args:
        rng: source of the knots' values; the number drawn depends on the lengths alone, not on a grid.
        smoothing_mm: sd of the Gaussian that white noise would be smoothed with; `knot_mm` is the alternative.
        reach_mm: half the width of the cube that the field covers; beyond it the field is constant.
        centre_mm: (x, y, z) of the cube's centre.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        smoothing_mm: float | None = None,
        *,
        knot_mm: float | None = None,
        reach_mm: float = 135.0,
        centre_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ):
        self.knot_mm = knot_mm if smoothing_mm is None else smoothing_mm / _SD_PER_KNOT
        self.n = 2 * int(np.ceil(reach_mm / self.knot_mm)) + 5
        self.centre_mm = np.asarray(centre_mm, float)
        self.coefficients = rng.standard_normal((self.n,) * 3, dtype=np.float32)

    def _in_knots(self, mm: np.ndarray, axis: int) -> np.ndarray:
        """Positions in knots along axis 0 (x), 1 (y) or 2 (z), held inside the lattice."""
        knots = (mm - self.centre_mm[axis]) / self.knot_mm + (self.n - 1) / 2
        return np.clip(knots, 1.0, self.n - 2.0)

    def on_axes(self, z_mm: np.ndarray, y_mm: np.ndarray, x_mm: np.ndarray) -> np.ndarray:
        """Values on the grid of these coordinates, float32 of shape (z, y, x)."""
        values = self.coefficients
        for axis, mm in ((2, z_mm), (1, y_mm), (0, x_mm)):
            # Each turn consumes the first axis and appends the new one: (z, y, x) after three.
            rest = values.shape[1:]
            values = _basis(self._in_knots(mm, axis), self.n) @ values.reshape(self.n, -1)
            values = np.moveaxis(values.reshape(-1, *rest), 0, -1)
        return np.ascontiguousarray(values)

    def at(self, points_mm: np.ndarray) -> np.ndarray:
        """Values at (3, ...) points in the order x, y, z, float32."""
        knots = np.stack([self._in_knots(points_mm[axis], axis) for axis in (2, 1, 0)])
        values = ndimage.map_coordinates(self.coefficients, knots, order=3, prefilter=False, mode="nearest")
        # The mean over a cell of a spline's squared weights is 151/315 an axis.
        return values / np.float32((151 / 315) ** 1.5)
