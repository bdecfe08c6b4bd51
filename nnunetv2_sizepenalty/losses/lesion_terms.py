"""Terms by lesion: each a function of a `LesionView`, to one value for each pair of sample and channel.

Returns, for all of them: values (B, C), and which pairs have one, bool (B, C); the loss is the mean over those.
"""

import torch
from torch import Tensor
from torch.nn.functional import softplus

from nnunetv2_sizepenalty.losses.formulas import dice
from nnunetv2_sizepenalty.losses.lesion_view import LesionView


def _mean(values: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    """Mean over the last dimension where `present`, and where there is any."""
    total = torch.where(present, values, 0).sum(-1)
    return total / present.sum(-1).clamp(min=1), present.any(-1)


def dice_ce_by_cell(view: LesionView) -> tuple[Tensor, Tensor]:
    """L: Dice + CE over the cell of each lesion, the mean over cells; the whole patch where there is no lesion.

    CC-DiceCE (Bouteille et al., ISBI 2026). A cell without a voxel of its lesion is left out where others have one
    (nnU-Net's loaders give it to its neighbours before, where a coarse scale has dropped the lesion).
    """
    voxels = view.over_cells(view.valid)
    lesion = view.volumes
    overlap = view.over_lesions(view.probability)
    value = dice(view.over_cells(view.probability), lesion, overlap, view.smooth)
    value = value + view.over_cells(view.entropy) / voxels.clamp(min=1)
    return _mean(value, (voxels > 0) & ((lesion > 0) | ~(lesion > 0).any(-1, keepdim=True)))


def blob(view: LesionView) -> tuple[Tensor, Tensor]:
    """B: Dice + CE of each lesion and the background, the other lesions left out, the mean over lesions.

    Blob loss (Kofler et al. 2023), its sums over the background taken once. As in its authors' code, a lesion's
    cross-entropy is divided by all voxels, as if those of the other lesions were there and cost nothing.
    """
    volume, overlap = view.volumes, view.over_lesions(view.probability)
    entropy = view.over_lesions(view.entropy)
    # of the whole patch, and of what all lesions leave of it
    voxels, everything = view.over_patch(view.valid), view.over_patch(view.entropy)
    outside = view.over_patch(view.probability) - overlap.sum(-1, keepdim=True)
    value = dice(outside + overlap, volume, overlap, view.smooth)
    entropy = everything - entropy.sum(-1, keepdim=True) + entropy
    return _mean(value + entropy / voxels.clamp(min=1), volume > 0)


def soft_hit(view: LesionView) -> tuple[Tensor, Tensor]:
    """H: sum_k a_k softplus(-log mean_k exp z), a_k the softmax of -V_k / tau over a pair's lesions.

    z is the logit, without regions its margin to the best other class: one voxel that is found makes it small.
    """
    present = view.volumes > 0
    # the largest z of all lesions is taken out: a lesion far below it is missed by as much as its own sum says
    where, lesion = view.lesion_voxels
    z = view.margin.reshape(-1)[where].double()
    highest = z.detach().new_full((present.shape[0] * present.shape[1] * (view.count + 1),), -torch.inf)
    highest = highest.scatter_reduce(0, lesion, z.detach(), "amax")
    sums = torch.zeros_like(highest).scatter_add(0, lesion, torch.exp(z - highest[lesion]))
    highest, sums = (flat.view(*present.shape[:2], -1)[..., 1:] for flat in (highest, sums))
    mean = torch.where(present, highest, 0) + torch.where(present, sums / view.volumes.clamp(min=1), 1).log()
    share = torch.softmax((-view.volumes / view.tau).masked_fill(~present, -torch.inf), -1)
    value = torch.where(present, share * softplus(-mean), 0)
    return value.sum(-1), present.any(-1)
