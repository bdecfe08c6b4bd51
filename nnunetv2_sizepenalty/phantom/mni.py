"""The MNI152 brain as an anatomy: the tissue maps that nilearn's wheel carries, nothing is downloaded."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import ndimage

from nnunetv2_sizepenalty.phantom.anatomy import TissueMaps


@dataclass(frozen=True)
class MniAnatomy:
    """ICBM 2009a nonlinear symmetric (Fonov et al. 2011, doi:10.1016/j.neuroimage.2010.07.033), 1 mm.

    The maps are averages over 152 people, in which sulci are a grey haze. `tissue_ramp` are the shares of tissue below
    which one person has CSF and above which tissue alone; the cortex is folded anew in each subject.
    """

    tissue_ramp: tuple[float, float] = (0.2, 0.7)

    def maps(self, points_mm: np.ndarray) -> TissueMaps:
        brain, white, grey = (sample(m, points_mm) for m in _template(self.tissue_ramp))
        return TissueMaps(white=white, grey=grey, brain=brain)


@dataclass(frozen=True)
class _Map:
    """A map of the template, float32 (z, y, x), 1 mm; `first_mm` is the x, y, z of its first voxel."""

    values: np.ndarray
    first_mm: np.ndarray


def sample(template: _Map, points_mm: np.ndarray) -> np.ndarray:
    """The map at (3, ...) points x, y, z, 0 outside it, float32."""
    voxels = points_mm - template.first_mm.reshape(3, *[1] * (points_mm.ndim - 1)).astype(np.float32)
    return ndimage.map_coordinates(template.values, voxels[::-1], order=1, mode="constant", output=np.float32)


def brain_map() -> _Map:
    """1 inside the skull of the template, 0 outside."""
    return _template(MniAnatomy().tissue_ramp)[0]


@cache
def _template(tissue_ramp: tuple[float, float]) -> tuple[_Map, _Map, _Map]:
    """Brain, white matter, grey matter."""
    # Importing nilearn takes seconds, and the analytic anatomy does without.
    from nilearn import datasets

    images = [
        load(resolution=1)
        for load in (
            datasets.load_mni152_template,
            datasets.load_mni152_wm_template,
            datasets.load_mni152_gm_template,
        )
    ]
    affine = images[0].affine
    # Voxels run along x, y and z by 1 mm, so that a place less the first voxel's is an index.
    assert np.array_equal(affine[:3, :3], np.eye(3)), affine
    t1, white, grey = (np.asarray(image.dataobj, np.float32).transpose(2, 1, 0) for image in images)
    # The template's T1 is 0 outside the brain.
    brain = (t1 > 0).astype(np.float32)
    share = white + grey
    low, high = tissue_ramp
    sharp = np.clip((share - np.float32(low)) / np.float32(high - low), 0, 1) * brain / np.maximum(share, 1e-3)
    return tuple(_Map(np.ascontiguousarray(m), affine[:3, 3]) for m in (brain, white * sharp, grey * sharp))
