"""What a voxel is in mm: in a file as nnU-Net's readers give it, and in a plan's training patches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nnunetv2_sizepenalty.lesions import ML, PX, SizeUnit, Spacing, size_unit, voxels_from_ml

if TYPE_CHECKING:
    from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager

# What nnU-Net's reader of images without a spacing (PNG, BMP, 2D TIFF) gives the axis that a 2D image hasn't, beside a
# spacing of 1; SimpleITK's reader gives that axis 999 times the image's larger spacing.
FILLER = 999.0
WITHOUT_SPACING = ("NaturalImage2DIO",)
# by which numbers of two headers may differ
_SAME = 1e-3


def reader_unit(reader: type | None) -> SizeUnit:
    """What sizes are given in where nnU-Net's reader class reads the files; None stands for SimpleITK's formats."""
    return PX if reader is not None and reader.__name__ in WITHOUT_SPACING else ML


def spacing_of(properties: Mapping[str, Any]) -> Spacing:
    """Spacing (z, y, x) from what nnU-Net's readers say of a file, and what a voxel of it measures.

    The axis that a 2D image hasn't counts 1, so that areas stand where volumes do in 3D; they are in pixels where the
    file has no spacing. In a sheared header a voxel's volume is the determinant of its matrix.
    """
    matrix = None
    if "sitk_stuff" in properties:
        stuff = properties["sitk_stuff"]
        n = len(stuff["spacing"])
        matrix = np.eye(3)
        matrix[:n, :n] = np.reshape(stuff["direction"], (n, n)) * stuff["spacing"]
    elif "nibabel_stuff" in properties:
        matrix = np.asarray(properties["nibabel_stuff"]["original_affine"])[:3, :3]
    spacing = _of_steps(properties["spacing"])
    return spacing if matrix is None else Spacing(spacing, matrix=matrix)  # a file with a place has a spacing


def affine_of(properties: Mapping[str, Any]) -> np.ndarray:
    """Computes the matrix from voxel (x, y, z) to world (RAS+, mm) from the same, shape (4, 4).

    Of a file that has no place only the spacing is in it.
    """
    affine = np.diag([*_of_steps(properties["spacing"])[::-1], 1.0])
    if "sitk_stuff" in properties:
        stuff = properties["sitk_stuff"]
        n = len(stuff["spacing"])
        affine[:n, :n] = np.reshape(stuff["direction"], (n, n)) * stuff["spacing"]
        affine[:n, 3] = stuff["origin"]
        affine[:2] *= -1  # ITK counts to the left and to the back, NIfTI to the right and to the front
    elif "nibabel_stuff" in properties:
        stuff = properties["nibabel_stuff"]
        affine = np.array(stuff.get("reoriented_affine", stuff["original_affine"]))
    return affine


def same_grid(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tells whether two files lie in the same place, as far as what nnU-Net's readers say of them is comparable."""
    pairs = [(one["spacing"], other["spacing"])]
    for stuff, names in (("sitk_stuff", ("spacing", "origin", "direction")), ("nibabel_stuff", ("original_affine",))):
        if stuff in one and stuff in other:
            pairs += [(one[stuff][name], other[stuff][name]) for name in names]
    return all(
        np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=0, atol=_SAME)
        for a, b in ((np.asarray(a, float), np.asarray(b, float)) for a, b in pairs)
    )


def voxel_mm(plans: PlansManager, configuration: ConfigurationManager) -> Spacing:
    """Spacing (z, y, x) of the patches; a slice of a 2D configuration is as thick as the plans say.

    nnU-Net resamples as if no header were sheared, so the plan's numbers hold.
    """
    spacing = list(configuration.spacing)
    if len(spacing) == 2:
        spacing = [plans.original_median_spacing_after_transp[0], *spacing]
    return _of_steps(spacing)


def _of_steps(steps: Sequence[float]) -> Spacing:
    z, *in_plane = map(float, steps)
    missing = z == FILLER or z >= FILLER * max(in_plane)
    return Spacing((1.0 if missing else z, *in_plane), unit=PX if z == FILLER else ML)


def planned_voxels(ml: float, plans: PlansManager, configuration: ConfigurationManager) -> float:
    """Voxels of the plan that make up `ml` millilitres.

    Raises:
        ValueError: the images are of pixels and have no volume.
    """
    spacing = voxel_mm(plans, configuration)
    if size_unit(spacing) == PX:
        raise ValueError(
            f"{ml:g} mL: these images are of pixels and have no volume; tau can be given in them (_tau300)"
        )
    return voxels_from_ml(ml, spacing)
