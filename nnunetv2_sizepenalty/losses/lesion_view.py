"""A batch seen lesion by lesion: sums over each lesion's voxels, and over the cells of all that lie nearest to it."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, pad, softplus

from nnunetv2_sizepenalty.losses.sums.volumes import Batch
from nnunetv2_sizepenalty.losses.target_layout import TargetLayout


@dataclass(frozen=True)
class LesionView:
    """What a term by lesion is a function of.

    Shapes: B samples, C foreground channels, n lesions of the pair that has most. Sums are taken in float64: added one
    by one, small values would be lost in a float32.

    Attributes:
        batch: with `cells`; logits of float32 or better, since several functions differentiate them.
        tau: of the weight of small lesions, in voxels of this scale.
        smooth: of Dice.
    """

    batch: Batch
    tau: float
    smooth: float

    @cached_property
    def valid(self) -> Tensor:
        """Voxels that are not ignored, bool (B, C, *spatial)."""
        if self.batch.ignored is None:
            return torch.ones_like(self.truth)
        return (~self.batch.ignored).expand_as(self.truth)

    @cached_property
    def truth(self) -> Tensor:
        """y, bool (B, C, *spatial); false where ignored."""
        layout, reference = self.batch.layout, self.batch.reference
        masks = [layout.mask(reference[:, layout.channel(number)], number) for number in range(layout.channels)]
        truth = torch.stack(masks, 1)
        return truth if self.batch.ignored is None else truth & ~self.batch.ignored

    @cached_property
    def _cells(self) -> Tensor:
        return self.batch.cells.long() * self.valid

    @cached_property
    def count(self) -> int:
        """n, at least 1."""
        # the one wait for an accelerator: how many lesions there are decides the shapes
        return max(1, int(self._cells.amax()))

    @cached_property
    def lesion_voxels(self) -> tuple[Tensor, Tensor]:
        """Where the voxels of lesions are, flat, and the place of their lesion among B C (n + 1)."""
        where = self.truth.flatten().nonzero()[:, 0]
        pair = where // self.truth[0, 0].numel()
        return where, pair * (self.count + 1) + self._cells.flatten()[where]

    def over_lesions(self, values: Tensor) -> Tensor:
        """Sums `values` (B, C, *spatial) over the voxels of each lesion: (B, C, n), float64."""
        where, lesion = self.lesion_voxels
        taken = values.reshape(-1)[where].double()
        pairs = self.truth.shape[:2]
        sums = taken.new_zeros(pairs.numel() * (self.count + 1)).scatter_add(0, lesion, taken)
        return sums.view(*pairs, -1)[..., 1:]

    def over_patch(self, values: Tensor) -> Tensor:
        """Sums `values` (B, C, *spatial), 0 where ignored, over each pair's voxels: (B, C, 1), float64."""
        return values.flatten(2).sum(-1, keepdim=True, dtype=torch.float64)

    def over_cells(self, values: Tensor) -> Tensor:
        """Sums `values`, 0 where ignored, over each cell, the whole patch where a pair has no lesion: (B, C, n)."""
        if self.count == 1:  # one cell is the whole patch
            return self.over_patch(values)
        # one sum a column, added up after: on an accelerator few addresses for all voxels would queue them up
        taken, cells = (tensor.flatten(2, -2) for tensor in (values.double(), self._whole_cells))
        sums = taken.new_zeros((*taken.shape[:2], self.count + 1, taken.shape[-1]))
        return sums.scatter_add(2, cells, taken).sum(-1)[..., 1:]

    @cached_property
    def _whole_cells(self) -> Tensor:
        empty = ~self.truth.flatten(2).any(-1)
        return torch.where(empty[(...,) + (None,) * (self._cells.ndim - 2)], self.valid.long(), self._cells)

    @cached_property
    def volumes(self) -> Tensor:
        """V_k in voxels of this scale, (B, C, n); 0 where there is no such lesion."""
        return self.over_lesions(torch.ones_like(self.truth, dtype=torch.float32))

    @cached_property
    def probability(self) -> Tensor:
        """p, (B, C, *spatial), 0 where ignored."""
        channels = range(self.batch.layout.channels)
        p = torch.stack([probability(self.batch.logits, self.batch.layout, channel) for channel in channels], 1)
        return p if self.batch.ignored is None else p * self.valid

    @cached_property
    def entropy(self) -> Tensor:
        """Cross-entropy of each voxel, (B, C, *spatial), 0 where ignored; of the true class in every channel.

        The softplus of what the wrong classes are ahead by: unlike PyTorch's, exact in the gradient of both tails.
        """
        logits = self.batch.logits
        if self.batch.layout.regions:
            return softplus(torch.where(self.truth, -logits, logits)) * self.valid
        labels = self.batch.reference.long()
        if self.batch.ignored is not None:
            labels = labels.masked_fill(self.batch.ignored, 0)
        wrong = logits.scatter(1, labels, -torch.inf).logsumexp(1, keepdim=True)
        entropy = softplus(wrong - logits.gather(1, labels))
        return (entropy * self.valid[:, :1]).expand_as(self.truth)

    @cached_property
    def margin(self) -> Tensor:
        """The logit, without regions its distance to the best other class's: (B, C, *spatial)."""
        logits = self.batch.logits
        if self.batch.layout.regions:
            return logits
        heads = range(logits.shape[1])
        others = (logits[:, [head for head in heads if head != own]].amax(1) for own in heads[1:])
        return logits[:, 1:] - torch.stack(list(others), 1)


def probability(logits: Tensor, layout: TargetLayout, channel: int) -> Tensor:
    """Returns p of one foreground channel, (B, *spatial), with a gradient that is exact in both tails."""
    if layout.regions:
        margin = logits[:, channel]
    else:
        others = [head for head in range(logits.shape[1]) if head != channel + 1]
        margin = logits[:, channel + 1] - logits[:, others].logsumexp(1)
    return logsigmoid(margin).exp()


def size_weights(view: LesionView, strength: float) -> Tensor:
    """Returns 1 + a exp(-V_k / tau) at the voxels of lesion k and 1 elsewhere, float32 without gradient.

    Returns:
        With regions (B, C, *spatial), else (B, 1, *spatial), by the lesion of the voxel's true class.
    """
    where, lesion = view.lesion_voxels
    weight = 1 + strength * torch.exp(-view.volumes / view.tau)
    of_lesion = pad(weight, (1, 0), value=1.0).flatten().float()
    weights = torch.ones(view.truth.numel(), device=where.device)
    weights[where] = of_lesion[lesion]
    weights = weights.view(view.truth.shape)
    # a voxel has one true class: the others' weight is 1
    return weights if view.batch.layout.regions else weights.amax(1, keepdim=True)
