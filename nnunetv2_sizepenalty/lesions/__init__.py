"""What a lesion is: components, cells, sizes in voxels, mm^3, mL and pixels. Imports numpy, scipy and cc3d alone."""

from nnunetv2_sizepenalty.lesions.cells import lesion_cells, share_lost_cells
from nnunetv2_sizepenalty.lesions.components import (
    component_voxels,
    default_connectivity,
    label_components,
    remove_small_components,
)
from nnunetv2_sizepenalty.lesions.sizes import (
    ML,
    PX,
    SizeBins,
    SizeUnit,
    Spacing,
    size_of,
    size_unit,
    voxel_volume_mm3,
    voxels_from_ml,
    voxels_to_ml,
)

__all__ = [
    "ML",
    "PX",
    "SizeBins",
    "SizeUnit",
    "Spacing",
    "component_voxels",
    "default_connectivity",
    "label_components",
    "lesion_cells",
    "remove_small_components",
    "share_lost_cells",
    "size_of",
    "size_unit",
    "voxel_volume_mm3",
    "voxels_from_ml",
    "voxels_to_ml",
]
