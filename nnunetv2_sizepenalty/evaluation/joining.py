"""Lesions of one label that another label joins: an enhancing rim in pieces around one necrosis (BraTS-METS 2024).

The rules were read in github.com/rachitsaluja/BraTS-2024-Metrics (metrics_MET.py at f1131e34) and are stated anew here.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from nnunetv2_sizepenalty.evaluation.instances import Instances, find_instances
from nnunetv2_sizepenalty.evaluation.protocols import Protocol
from nnunetv2_sizepenalty.lesions import component_voxels

_NEIGHBOURS = ndimage.generate_binary_structure(3, 2)


def joining_masks(
    values: tuple[int, ...], reference: np.ndarray, prediction: np.ndarray, protocol: Protocol
) -> tuple[np.ndarray, np.ndarray] | None:
    """Finds what joins the lesions of a label of these values in a reference and a prediction of many labels, or None.

    Returns:
        Two boolean masks of the arrays' shapes.
    """
    if protocol.joined_by is None or values != protocol.joined_by[:1]:
        return None
    other = protocol.joined_by[1]
    return reference == other, prediction == other


def join_lesions(
    lesions: Instances, mask: np.ndarray, spacing_mm: Sequence[float], protocol: Protocol, *, is_reference: bool
) -> Instances:
    """Makes one lesion of those that touch the same component of `mask` (a common voxel once dilated).

    A lesion that touches several goes by the first of them, counted along the last axis of the image (x, y, z) first:
    two lesions are not joined by a third that touches both.

    Args:
        mask: boolean, of the lesions' shape; its components are found by the same rules.
    """
    others = find_instances(mask, spacing_mm, protocol, is_reference=is_reference)
    if not len(others) or not len(lesions):
        return lesions
    near = _in_image_order(ndimage.grey_dilation(others.labels, footprint=_NEIGHBOURS)).ravel()[lesions.index]
    partner = np.full(len(lesions) + 1, len(others) + 1)
    np.minimum.at(partner, lesions.lesion[near > 0], near[near > 0])
    partner[0] = 0
    alone = partner > len(others)
    partner[alone] += np.arange(len(partner))[alone]
    number = np.unique(partner, return_inverse=True)[1].astype(lesions.labels.dtype)
    of_voxel = number[lesions.lesion]
    joined = number[lesions.labels]
    return dataclasses.replace(
        lesions,
        labels=joined,
        lesion=of_voxel,
        voxels=component_voxels(of_voxel, int(number.max())),
        reach=joined if lesions.reach is lesions.labels else number[lesions.reach],
    )


def _in_image_order(labels: np.ndarray) -> np.ndarray:
    """The components renumbered by their first voxel in an image array (x, y, z), which is this one's transpose."""
    values, first = np.unique(labels.T, return_index=True)
    values = values[np.argsort(first)]
    number = np.zeros(int(labels.max()) + 1, dtype=int)
    number[values[values > 0]] = np.arange(1, np.count_nonzero(values) + 1)
    return number[labels]
