"""What a loss tells of its latest evaluation, for a training log: taken from what it computed anyway."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from nnunetv2_sizepenalty.losses.sums.volumes import Volumes


@dataclass(frozen=True)
class Record:
    """One evaluation of a loss, detached, on the device of the logits; of this process's batch alone.

    terms: letter -> value without its weight (S and `batch_dice` of the global batch under DDP).
    predicted, reference: V_p and V_g in voxels, (B, C).
    positive: pairs that hold a lesion, bool (B, C).
    penalised: what S is the mean of, bool: `positive`, or with `per_lesion` the lesions, (n,); None without S.
    saturated: those of them whose S reached the cap; None without S.
    size_weight: the factor on S, a scalar; None without S.
    """

    terms: Mapping[str, Tensor]
    predicted: Tensor
    reference: Tensor
    positive: Tensor
    penalised: Tensor | None = None
    saturated: Tensor | None = None
    size_weight: Tensor | None = None

    @classmethod
    def of(
        cls,
        terms: Mapping[str, Tensor],
        volumes: Volumes,
        penalised: Tensor | None = None,
        saturated: Tensor | None = None,
        size_weight: Tensor | None = None,
    ) -> "Record":
        """Detaches what the loss computed; the last three are None without S."""
        return cls(
            terms={letter: term.detach() for letter, term in terms.items()},
            predicted=volumes.predicted.detach(),
            reference=volumes.reference,
            positive=volumes.reference > 0,
            penalised=penalised,
            saturated=None if saturated is None else saturated & penalised,
            size_weight=None if size_weight is None else size_weight.detach(),
        )
