"""From probabilities to the label map at an operating point."""

from collections.abc import Mapping, Sequence

import numpy as np

from nnunetv2_sizepenalty.lesions import remove_small_components, voxel_volume_mm3
from nnunetv2_sizepenalty.nnunet_io.classes import Heads
from nnunetv2_sizepenalty.nnunet_io.thresholds import above, logit
from nnunetv2_sizepenalty.operating_point.point import Cut


def cut_probabilities(
    probabilities: np.ndarray,
    heads: Heads,
    cuts: Mapping[str, Cut],
    *,
    spacing_mm: Sequence[float],
    unit: str = "voxels",
    connectivity: int = 18,
) -> np.ndarray:
    """The label map where each class is cut at its own threshold and small components are removed.

    Regions are painted in nnU-Net's order. Where several softmax classes are above their thresholds, the one that is
    furthest above in the logit wins. Components are those of the painted map, label by label, as `cc3d.dust` sees them
    in a written prediction; with overlapping regions those of each region's own mask, before it is painted.

    Args:
        probabilities: (channels, z, y, x), as nnU-Net saves them.
        cuts: class -> cut, one for each of `heads.targets`.

    Returns:
        uint8 or uint16, (z, y, x).
    """

    def filtered(mask: np.ndarray, size: float) -> np.ndarray:
        if not size:
            return mask
        voxels = size if unit == "voxels" else size / voxel_volume_mm3(spacing_mm)
        return remove_small_components(mask, voxels, connectivity)

    kind = np.uint8 if max(target.painted for target in heads.targets) < 255 else np.uint16
    painted = np.zeros(probabilities.shape[1:], dtype=kind)
    best = None if heads.regions or len(heads.targets) == 1 else np.full(painted.shape, -np.inf)
    for target in heads.targets:
        probability = probabilities[target.channel]
        mask = above(probability, cuts[target.name].threshold)
        if heads.overlapping:
            mask = filtered(mask, cuts[target.name].min_size)
        if best is not None:
            with np.errstate(divide="ignore"):
                margin = logit(probability) - logit(cuts[target.name].threshold)
            mask &= margin > best
            best[mask] = margin[mask]
        painted[mask] = target.painted
    if not heads.overlapping:
        for target in heads.targets:
            mask = painted == target.painted
            painted[mask & ~filtered(mask, cuts[target.name].min_size)] = 0
    return painted
