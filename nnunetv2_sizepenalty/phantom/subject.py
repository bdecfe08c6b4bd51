"""One person's brain out of a template: pose, warps, wide or narrow ventricles, folds of the cortex."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from nnunetv2_sizepenalty.phantom.anatomy import Anatomy, TissueMaps, ventricle_distance_mm
from nnunetv2_sizepenalty.phantom.fields import SmoothField
from nnunetv2_sizepenalty.phantom.grid import CENTRE_MM, SamplingGrid
from nnunetv2_sizepenalty.phantom.parameters import AnatomyVariation

# Half axes of the brain, (x, y, z).
_HULL_MM = np.array([68.0, 86.0, 64.0], np.float32)
# Where the lateral ventricles' bodies meet, (x, y, z): the centre that they widen from.
_VENTRICLE_CENTRE_MM = np.array([0.0, -12.0, 14.0])


@dataclass(frozen=True)
class Subject:
    """A brain on a grid.

    Attributes:
        grid: the voxels.
        points_mm: (3, z, y, x) float32, where each voxel lies in the template (x, y, z).
        maps: tissue without the folds' CSF.
        groove: fraction of each voxel that sulci fill with CSF, float32 in [0, 1].
        brain: what skull stripping leaves, bool.
        ventricle_mm: distance to the ventricles in mm.
    """

    grid: SamplingGrid
    points_mm: np.ndarray
    maps: TissueMaps
    groove: np.ndarray
    brain: np.ndarray
    ventricle_mm: np.ndarray

    def csf(self, closed: np.ndarray | float = 0.0) -> np.ndarray:
        """Fraction of CSF, with the sulci closed by swelling where `closed` is 1."""
        return np.clip(np.maximum(self.maps.csf, self.groove * (1 - closed)), 0, 1).astype(np.float32)


@dataclass(frozen=True)
class Pose:
    """Grid to template, drawn once a case: points -> matrix (points - centre) + centre + smooth displacement."""

    matrix: np.ndarray
    warps: tuple[tuple[float, tuple[SmoothField, SmoothField, SmoothField]], ...]
    widening: float
    widening_reach_mm: float

    @classmethod
    def draw(cls, rng: np.random.Generator, variation: AnatomyVariation) -> "Pose":
        mean, sd = variation.scale_mean_sd
        scale = np.diag(1 / np.clip(rng.normal(mean, sd, 3), mean - 2.2 * sd, mean + 2.2 * sd))
        rotation = Rotation.from_euler("xyz", rng.normal(0, variation.rotation_sd_deg, 3), degrees=True).as_matrix()
        shear = np.eye(3) + np.triu(rng.normal(0, variation.shear_sd, (3, 3)), 1)
        warps = tuple(
            (sd_mm, tuple(SmoothField(rng, knot_mm=knot_mm, centre_mm=CENTRE_MM) for _ in range(3)))
            for knot_mm, sd_mm in variation.warps_mm
        )
        widening = rng.uniform(*variation.ventricle_widening)
        return cls(scale @ shear @ rotation, warps, widening, variation.ventricle_reach_mm)

    def template_points(self, grid: SamplingGrid) -> np.ndarray:
        """(3, z, y, x) template coordinates of the grid's voxels, float32."""
        z, y, x = grid.axes_mm
        relative = [a - c for a, c in zip((x, y, z), CENTRE_MM, strict=True)]
        points = np.empty((3, *grid.shape), np.float32)
        for i in range(3):
            m = self.matrix[i]
            points[i] = (
                (m[2] * relative[2])[:, None, None]
                + (m[1] * relative[1])[None, :, None]
                + (m[0] * relative[0] + CENTRE_MM[i])[None, None, :]
            )
            for sd_mm, fields in self.warps:
                points[i] += np.float32(sd_mm) * fields[i].on_axes(z, y, x)
        # Looking up nearer to the centre makes the ventricles wider.
        offset = points - _VENTRICLE_CENTRE_MM[:, None, None, None].astype(np.float32)
        near = np.exp(-(offset**2).sum(0) / np.float32(2 * self.widening_reach_mm**2))
        return points - offset * (np.float32(self.widening / (1 + self.widening)) * near)


def brain_extent_mm(anatomy: Anatomy, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest z, y, x of the brain, to about 6 mm."""
    x, y, z = CENTRE_MM
    step, n = 6.0, 41
    reach = step * (n - 1) / 2
    grid = SamplingGrid((n,) * 3, (step,) * 3, (z - reach, y - reach, x + reach))
    found = np.nonzero(anatomy.maps(pose.template_points(grid)).brain > 0)
    mm = [axis[i] for axis, i in zip(grid.axes_mm, found, strict=True)]
    return np.array([a.min() for a in mm]) - step / 2, np.array([a.max() for a in mm]) + step / 2


def make_subject(
    anatomy: Anatomy, pose: Pose, grid: SamplingGrid, rng: np.random.Generator, variation: AnatomyVariation
) -> Subject:
    """Tissue of one person on a grid."""
    points = pose.template_points(grid)
    template = anatomy.maps(points)
    brain = template.brain > 0.5
    ventricle_mm = ventricle_distance_mm(points)
    # The cortex also folds along the fissures, so they count as outside.
    inside = brain & ((template.csf < 0.5) | (ventricle_mm < 4))
    depth = ndimage.distance_transform_edt(inside, sampling=grid.spacing_mm).astype(np.float32)
    groove, ribbon = _folds(points, depth, grid, rng, variation)
    noise = SmoothField(rng, variation.border_noise_mm, centre_mm=CENTRE_MM).on_axes(*grid.axes_mm)
    tissue = template.white + template.grey
    # In the depth of a fold lies cortex, whatever the template's average says.
    difference = (template.grey - template.white) / np.maximum(tissue, 1e-3) + 1.6 * ribbon
    difference += np.float32(variation.border_noise_sd) * noise
    grey = tissue / (1 + np.exp(-np.float32(variation.sharpness) * difference))
    maps = TissueMaps(white=tissue - grey, grey=grey, brain=template.brain)
    return Subject(grid, points, maps, groove, brain, ventricle_mm)


def posterior_fossa(points_mm: np.ndarray) -> np.ndarray:
    """True for cerebellum and brain stem, by template coordinates."""
    return (
        (points_mm[2] < -16)
        & (points_mm[1] < -14)
        & (np.abs(points_mm[0]) < 52)
        & (points_mm[2] < -20 - 0.25 * (points_mm[1] + 50))
    )


def _folds(
    points: np.ndarray, depth: np.ndarray, grid: SamplingGrid, rng: np.random.Generator, variation: AnatomyVariation
) -> tuple[np.ndarray, np.ndarray]:
    """CSF fraction of the grooves, and how much a voxel belongs to the cortex along them."""
    smoothing = variation.groove_field_mm
    # Sulci run inwards: the field hardly changes along rays from the middle of the brain.
    centre = np.asarray(CENTRE_MM, np.float32)[:, None, None, None]
    offset = points - centre
    radius = np.sqrt(((offset / _HULL_MM[:, None, None, None]) ** 2).sum(0))
    offset *= np.clip(radius, 0.25, None) ** np.float32(variation.groove_radial_change - 1)
    field = SmoothField(rng, smoothing, centre_mm=CENTRE_MM).at(offset + centre)
    # Distance to the zero level set: |field| over its gradient, whose root mean square the formula below holds.
    steepness = np.sqrt(sum(g**2 for g in np.gradient(field, *grid.spacing_mm)))
    sheet_mm = np.abs(field) / np.maximum(steepness, np.float32(0.5 * np.sqrt(1.5) / smoothing))
    reach = np.clip(1 - depth / np.float32(variation.groove_depth_mm), 0, 1)
    fossa = posterior_fossa(points)
    # The fissures reach the middle of the brain, the folds along them do not.
    reach *= np.clip((radius - np.float32(variation.groove_inner_radius)) / np.float32(0.2), 0, 1)
    amount = np.sqrt(reach) * np.where(fossa, np.float32(variation.cerebellar_folding), 1)
    half_width = np.float32(rng.uniform(*variation.groove_half_width_mm)) * amount
    voxel = np.float32(np.prod(grid.spacing_mm) ** (1 / 3))
    groove = np.clip((half_width - sheet_mm) / voxel + 0.5, 0, np.minimum(1, 2 * half_width / voxel))
    ribbon = np.clip((np.float32(variation.ribbon_mm) + half_width - sheet_mm) / 2 + 0.5, 0, 1) * np.clip(
        8 * reach, 0, 1
    )
    return groove.astype(np.float32), np.where(fossa, 0, ribbon).astype(np.float32)
