"""Cross-entropy in which small lesions weigh more, for any PyTorch code."""

from torch import Tensor, nn

from nnunetv2_sizepenalty.losses.compound import build_loss
from nnunetv2_sizepenalty.losses.size_term import TAU


class SizeWeightedCrossEntropy(nn.Module):
    """Mean of the voxelwise cross-entropy, in which the voxels of lesion k count 1 + a exp(-V_k / tau), background 1.

    Unlike `SizePenaltyLoss` it says where a small lesion is, so it needs no partner. V_k are the voxels of a connected
    component of the target (18 neighbours in 3D, 8 in 2D), which is labelled at every call, on the CPU.

    Args:
        strength: a, at most so much more than a voxel of background does a voxel of a lesion count.
        tau: voxels at which that has fallen to 0.37 a.

    >>> import torch
    >>> mask = torch.zeros(1, 1, 8, 8)
    >>> mask[..., :2, :2] = 1
    >>> logits = torch.where(mask > 0, 0.0, -100.0)  # sure of the background, undecided on the lesion
    >>> round(SizeWeightedCrossEntropy(strength=4.0)(logits, mask).item(), 4)  # 4 / 64 (1 + 4 exp(-4 / 600)) log 2
    0.2155
    """

    def __init__(self, strength: float = 4.0, tau: float = TAU):
        super().__init__()
        options = {"sizeweight": strength, "tau": tau}
        self._of_masks = build_loss("C", regions=True, **options)
        self._of_labels = build_loss("C", regions=False, **options)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Returns the mean over samples and voxels, and over channels with a mask for each.

        Args:
            logits: (B, C, *spatial), one to three spatial dimensions, any floating type.
            target: of the same shape, binary masks under a sigmoid each; or labels 0 (background) to C - 1, of shape
                (B, 1, *spatial) or (B, *spatial), under a softmax.

        Raises:
            ValueError: the shapes do not fit, or there are more dimensions.
        """
        if not 3 <= logits.ndim <= 5:
            raise ValueError(f"logits must be (B, C, *spatial), one to three spatial dimensions: {tuple(logits.shape)}")
        masks = target.shape == logits.shape
        if not masks and target.shape == (len(logits), *logits.shape[2:]):
            target = target[:, None]
        if logits.ndim == 3:  # a lesion of a line is one of a picture of a single row
            logits, target = logits[:, :, None], target[:, :, None]
        return (self._of_masks if masks else self._of_labels)(logits, target)
