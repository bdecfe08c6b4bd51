"""The network: a U-Net with attention gates on its skips and an ASPP bottleneck, for any nnU-Net plan.

`AttentionASPPUNet` can be named in a plan (`nnunetv2_sizepenalty.architectures.AttentionASPPUNet`);
`planned_dilations` gives the `aspp_dilations` that belong to a planned patch.
"""

from nnunetv2_sizepenalty.architectures.aspp import planned_dilations
from nnunetv2_sizepenalty.architectures.attention_aspp_unet import AttentionASPPUNet

__all__ = ["AttentionASPPUNet", "planned_dilations"]
