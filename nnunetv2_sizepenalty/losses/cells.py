"""V_p and V_g of single lesions: sums over the cells that hold a lesion's voxels and all that lie nearest to it."""

import torch
from torch import Tensor

from nnunetv2_sizepenalty.losses.lesion_view import probability
from nnunetv2_sizepenalty.losses.sums.volumes import Batch, Volumes


def lesion_volumes(batch: Batch, volumes: Volumes) -> tuple[Tensor, Tensor]:
    """Returns V_p, with gradient, and V_g of each lesion of a batch; one dimension, V_g is 0 where there is no lesion.

    A pair of sample and channel without a second lesion keeps its `volumes`. The others need one more look at the
    voxels, by autograd: logits should be of float32 or better, so that both gradients meet there.

    Args:
        batch: with `cells`.
        volumes: of all of it.
    """
    # the one wait for an accelerator: how many lesions a pair has decides what is computed
    lesions = batch.cells.flatten(2).amax(-1).cpu()
    alone = lesions < 2
    predicted, reference = [volumes.predicted[alone]], [volumes.reference[alone]]
    for channel in range(lesions.shape[1]):
        (samples,) = torch.nonzero(~alone[:, channel], as_tuple=True)
        if not len(samples):
            continue
        cells = batch.cells[samples, channel].long()
        if batch.ignored is not None:
            cells = cells.masked_fill(batch.ignored[samples, 0], 0)
        n = int(lesions[:, channel].max())
        predicted.append(_sums(probability(batch.logits[samples], batch.layout, channel), cells, n))
        truth = batch.layout.mask(batch.reference[samples, batch.layout.channel(channel)], channel)
        reference.append(_sums(truth.to(volumes.reference.dtype), cells, n))
    return torch.cat(predicted), torch.cat(reference)


def _sums(values: Tensor, cells: Tensor, n: int) -> Tensor:
    """Sum of `values` in each of the cells 1 to n of each sample, flat.

    First over rows of voxels: added one by one, small values would be lost in a sum over a whole patch in float32.
    """
    values, cells = (tensor.reshape(len(tensor), -1, tensor.shape[-1]) for tensor in (values, cells))
    of_rows = values.new_zeros((*values.shape[:2], n + 1)).scatter_add(2, cells, values)
    return of_rows.sum(1)[:, 1:].flatten()
