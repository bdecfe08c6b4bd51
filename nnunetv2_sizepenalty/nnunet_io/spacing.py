"""What a voxel of a training patch is in mm, and what a modifier's mL are in voxels."""

from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager

from nnunetv2_sizepenalty.lesions import voxels_from_ml

# what nnU-Net's readers of images without a spacing (PNG, ...) give the axis that isn't there
NO_SPACING = 999


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
