"""What a voxel of a training patch is in mm, and what a modifier's mL are in voxels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nnunetv2_sizepenalty.lesions import voxels_from_ml

if TYPE_CHECKING:
    from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager

# what nnU-Net's readers of images without a spacing (PNG, ...) give the axis that isn't there
NO_SPACING = 999


def spacing_of(properties: Mapping[str, Any]) -> tuple[float, ...]:
    """Spacing (z, y, x) in mm from what nnU-Net's readers say.

    What they give the single slice of a 2D image counts as 1, so that areas stand where volumes do in 3D.
    """
    z, *in_plane = (float(step) for step in properties["spacing"])
    return (1.0 if z == NO_SPACING else z, *in_plane)


def voxel_mm(plans: PlansManager, configuration: ConfigurationManager) -> tuple[float, ...]:
    """Spacing (z, y, x) of the patches in mm; a slice of a 2D configuration is as thick as the plans say."""
    spacing = list(configuration.spacing)
    if len(spacing) == 2:
        spacing = [plans.original_median_spacing_after_transp[0], *spacing]
    return tuple(map(float, spacing))


def planned_voxels(ml: float, plans: PlansManager, configuration: ConfigurationManager) -> float:
    """Voxels of the plan that make up `ml` millilitres.

    Raises:
        ValueError: the images are of pixels and have no volume.
    """
    spacing = voxel_mm(plans, configuration)
    if NO_SPACING in spacing:
        raise ValueError(
            f"{ml:g} mL: these images are of pixels and have no volume; tau can be given in them (_tau300)"
        )
    return voxels_from_ml(ml, spacing)
