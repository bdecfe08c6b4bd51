"""V_p, V_g and TP of a batch, computed once for all terms; what a loss asks of its logits and target."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from nnunetv2_sizepenalty.losses.distributed import global_sums
from nnunetv2_sizepenalty.losses.formulas import VoxelTerm
from nnunetv2_sizepenalty.losses.sums.sigmoid import SigmoidSums
from nnunetv2_sizepenalty.losses.sums.softmax import SoftmaxSums
from nnunetv2_sizepenalty.losses.target_layout import TargetLayout, complete


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
    reference, ignored, cells: of the target, see `TargetLayout.split`.
    layout: the target's.
    """

    logits: Tensor
    reference: Tensor
    ignored: Tensor | None
    cells: Tensor | None
    layout: TargetLayout

    @classmethod
    def of(
        cls, logits: Tensor, target: Tensor, regions: bool, ignore_label: int | None, with_cells: bool = False
    ) -> "Batch":
        """Splits nnU-Net's target by its `TargetLayout`; cells that it lacks are made.

        Raises:
            ValueError: the shapes of logits and target do not fit.
        """
        layout = TargetLayout(logits.shape[1], regions, ignore_label, with_cells)
        if with_cells and target.shape[1] == layout.plain_width:
            target = complete(target, layout)
        expected = (len(logits), layout.width, *logits.shape[2:])
        if target.shape != expected or not layout.channels:
            kind = ("regions" if regions else "labels") + (" and cells" if with_cells else "")
            raise ValueError(
                f"logits of shape {tuple(logits.shape)} do not fit a target of {kind} {tuple(target.shape)}"
            )
        return cls(logits, *layout.split(target), layout)

    def valid_voxels(self) -> int | Tensor:
        """Counts the voxels that are not ignored, at least 1."""
        if self.ignored is None:
            return self.reference[:, :1].numel()
        return (~self.ignored).sum().clamp(min=1)

    def measure(self, terms: tuple[VoxelTerm, ...] = (), weight: Tensor | None = None) -> tuple[Volumes, Tensor | None]:
        """Returns the volumes, and of each voxel term the sum over all voxels (and channels, with regions).

        Args:
            terms: summed in the same pass.
            weight: of each voxel in them, of the reference's shape and 1 on background; None for 1.
        """
        if self.layout.regions or self.logits.shape[1] == 2:
            sums = SigmoidSums.apply(self.logits, self.reference, self.ignored, not self.layout.regions, terms, weight)
        else:
            sums = SoftmaxSums.apply(self.logits, self.reference, self.ignored, terms, weight)
        predicted, overlap, reference, voxels = sums
        return Volumes(predicted, reference, overlap), voxels

    def cross_entropies(self) -> Tensor:
        """Returns PyTorch's own cross-entropy of each voxel, 0 where ignored: (B, [R with regions,] *spatial)."""
        if not self.layout.regions:
            labels = self.reference[:, 0].long()
            if self.ignored is None:
                return cross_entropy(self.logits, labels, reduction="none")
            labels = labels.masked_fill(self.ignored[:, 0], -100)
            return cross_entropy(self.logits, labels, reduction="none", ignore_index=-100)
        truth = (self.reference > 0).to(self.logits.dtype)
        entropies = binary_cross_entropy_with_logits(self.logits, truth, reduction="none")
        return entropies if self.ignored is None else entropies.masked_fill(self.ignored, 0)
