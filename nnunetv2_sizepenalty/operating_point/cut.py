"""From probabilities to the label map at an operating point."""

from collections.abc import Mapping, Sequence

import numpy as np

from nnunetv2_sizepenalty.lesions import remove_small_components, voxel_volume_mm3
from nnunetv2_sizepenalty.nnunet_io.classes import Labels
from nnunetv2_sizepenalty.nnunet_io.thresholds import above, logit
from nnunetv2_sizepenalty.operating_point.point import Cut


def cut_probabilities(
    probabilities: np.ndarray,
    labels: Labels,
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
        cuts: class -> cut, one for each of `labels.foreground`.

    Returns:
        uint8 or uint16, (z, y, x).
    """

    def filtered(mask: np.ndarray, size: float) -> np.ndarray:
        if not size:
            return mask
        voxels = size if unit == "voxels" else size / voxel_volume_mm3(spacing_mm)
        return remove_small_components(mask, voxels, connectivity)

    kind = np.uint8 if max(label.painted for label in labels.foreground) < 255 else np.uint16
    painted = np.zeros(probabilities.shape[1:], dtype=kind)
    best = None if labels.regions or len(labels.foreground) == 1 else np.full(painted.shape, -np.inf)
    for label in labels.foreground:
        probability = probabilities[label.channel]
        mask = above(probability, cuts[label.name].threshold)
        if labels.overlapping:
            mask = filtered(mask, cuts[label.name].min_size)
        if best is not None:
            with np.errstate(divide="ignore"):
                margin = logit(probability) - logit(cuts[label.name].threshold)
            mask &= margin > best
            best[mask] = margin[mask]
        painted[mask] = label.painted
    if not labels.overlapping:
        for label in labels.foreground:
            mask = painted == label.painted
            painted[mask & ~filtered(mask, cuts[label.name].min_size)] = 0
    return painted
