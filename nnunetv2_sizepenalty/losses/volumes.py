"""V_p, V_g and TP of a batch, computed once for all terms; what nnU-Net's targets look like is known here alone."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from nnunetv2_sizepenalty.losses.distributed import global_sums
from nnunetv2_sizepenalty.losses.sigmoid import SigmoidSums
from nnunetv2_sizepenalty.losses.softmax import SoftmaxSums
from nnunetv2_sizepenalty.losses.terms import VoxelTerm


@dataclass(frozen=True)
class Volumes:
    """Soft volumes in voxels, one a pair of sample and foreground channel (thesis section 3.1).

    predicted: V_p, the sum of p; (B, C), with gradient.
    reference: V_g, the sum of y; (B, C), without gradient.
    overlap: TP, the sum of p y; (B, C), with gradient.
    """

    predicted: Tensor
    reference: Tensor
    overlap: Tensor

    def over_batch(self, ddp: bool = False) -> "Volumes":
        """Sums over the batch, over all processes' with `ddp`; shape (C,)."""
        return Volumes(*global_sums(self.predicted.sum(0), self.reference.sum(0), self.overlap.sum(0), ddp=ddp))


@dataclass(frozen=True)
class Batch:
    """Logits and target of one scale as nnU-Net passes them, with the ignored voxels told apart.

    logits: (B, heads, *spatial).
    reference: with regions (B, heads, *spatial), foreground where positive; else labels (B, 1, *spatial).
    ignored: bool (B, 1, *spatial), or None.
    """

    logits: Tensor
    reference: Tensor
    ignored: Tensor | None
    regions: bool

    @classmethod
    def of(cls, logits: Tensor, target: Tensor, regions: bool, ignore_label: int | None) -> "Batch":
        """Splits nnU-Net's target: with regions its last channel is 1 where ignored, else `ignore_label` marks it.

        Raises:
            ValueError: the shapes of logits and target do not fit.
        """
        channels = logits.shape[1] + (ignore_label is not None) if regions else 1
        if target.shape != (logits.shape[0], channels, *logits.shape[2:]) or (not regions and logits.shape[1] < 2):
            kind = "regions" if regions else "labels"
            raise ValueError(
                f"logits of shape {tuple(logits.shape)} do not fit a target of {kind} {tuple(target.shape)}"
            )
        if ignore_label is None:
            return cls(logits, target, None, regions)
        if regions:
            return cls(logits, target[:, :-1], target[:, -1:] == 1, regions)
        return cls(logits, target, target == ignore_label, regions)

    def valid_voxels(self) -> int | Tensor:
        """Voxels that are not ignored, at least 1."""
        if self.ignored is None:
            return self.reference[:, :1].numel()
        return (~self.ignored).sum().clamp(min=1)

    def measure(self, term: VoxelTerm | None = None) -> tuple[Volumes, Tensor | None]:
        """The volumes, and the sum of a voxel term over all voxels (and channels, with regions)."""
        if self.regions or self.logits.shape[1] == 2:
            sums = SigmoidSums.apply(self.logits, self.reference, self.ignored, not self.regions, term)
        else:
            sums = SoftmaxSums.apply(self.logits, self.reference, self.ignored, term)
        predicted, overlap, reference, voxels = sums
        return Volumes(predicted, reference, overlap), voxels

    def cross_entropies(self) -> Tensor:
        """Voxelwise cross-entropy by PyTorch's own functions, 0 where ignored: (B, [R with regions,] *spatial)."""
        if not self.regions:
            labels = self.reference[:, 0].long()
            if self.ignored is None:
                return cross_entropy(self.logits, labels, reduction="none")
            labels = labels.masked_fill(self.ignored[:, 0], -100)
            return cross_entropy(self.logits, labels, reduction="none", ignore_index=-100)
        truth = (self.reference > 0).to(self.logits.dtype)
        entropies = binary_cross_entropy_with_logits(self.logits, truth, reduction="none")
        return entropies if self.ignored is None else entropies.masked_fill(self.ignored, 0)
