"""One of two gloo processes: gradients of a small network under DistributedDataParallel with each loss.

Arguments: rank, file for the rendezvous, file for the results of rank 0. The cases are for the test, too.
"""

import sys
from dataclasses import dataclass

import numpy as np
import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from nnunetv2_sizepenalty.lesions import lesion_cells
from nnunetv2_sizepenalty.losses import build_loss
from nnunetv2_sizepenalty.losses.weighting import balancing_weight


@dataclass(frozen=True)
class DdpCase:
    code: str
    heads: int
    regions: bool
    batch_dice: bool
    per_lesion: bool = False
    weighting: str = "fixed"
    sizeweight: float | None = None

    @property
    def options(self) -> dict:
        return {
            "regions": self.regions,
            "batch_dice": self.batch_dice,
            "per_lesion": self.per_lesion,
            "weighting": self.weighting,
            "sizeweight": self.sizeweight,
            "tau": 30.0,
        }

    def __str__(self) -> str:
        kind = "regions" if self.regions else "softmax"
        dice = "batchdice" if self.batch_dice else "sampledice"
        per_lesion = "-perlesion" if self.per_lesion else ""
        weight = f"-sizeweight{self.sizeweight:g}" if self.sizeweight else ""
        return f"{self.code}-{kind}{self.heads}-{dice}{per_lesion}-{self.weighting}{weight}"


HEADS = ((1, True), (2, False), (3, False))
CASES = [
    *(
        DdpCase(code, *heads, batch_dice)
        for code in ("D", "T", "S", "DTS", "DTFS", "DCS")
        for heads in HEADS
        for batch_dice in (False, True)
    ),
    *(DdpCase(code, *heads, batch_dice=False, per_lesion=True) for code in ("S", "DTS") for heads in HEADS),
    *(DdpCase(code, *heads, batch_dice=False) for code in ("L", "B", "H", "DCL", "DLBHS") for heads in HEADS),
    *(DdpCase(code, *heads, batch_dice=True, sizeweight=4.0) for code in ("C", "F", "FCL") for heads in HEADS),
    *(DdpCase("DTS", *heads, batch_dice=False, weighting=how) for how in ("balanced", "learned") for heads in HEADS),
]


def draw(case: DdpCase) -> tuple[torch.Tensor, torch.Tensor]:
    """Four images and their target; three samples hold lesions, so the two processes hold two and one."""
    generator = torch.Generator().manual_seed(case.heads)
    images = torch.randn(4, 2, 4, 6, 6, generator=generator)
    mask = torch.rand(4, 1, 4, 6, 6, generator=generator) < torch.tensor([0.05, 0.3, 0.1, 0.0]).view(4, 1, 1, 1, 1)
    second = torch.rand(mask.shape, generator=generator) < 0.5
    labels = mask.int() + (mask & second).int() * (case.heads > 2)
    if build_loss(case.code, **case.options).needs_cells:
        masks = torch.cat([labels == k for k in range(1, max(case.heads, 2))], 1)
        cells = np.stack([[lesion_cells(channel) for channel in sample] for sample in masks.numpy()])
        labels = torch.cat([labels, torch.from_numpy(cells)], 1)
    return images, labels


def network(case: DdpCase) -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Conv3d(2, case.heads, 3, padding=1)


def bounded_factor(rank: int) -> torch.Tensor:
    """The balanced weight of both processes, of which only the second holds a large gradient of S."""
    logits = torch.zeros(2, requires_grad=True)
    terms = {"D": 100 * logits.sum(), "S": (0.1, 0.8)[rank] * logits[0]}
    factors = [torch.empty(()) for _ in range(2)]
    distributed.all_gather(factors, balancing_weight(0.3, terms, logits, ddp=True))
    return torch.stack(factors)


def main(rank: int, rendezvous: str, results: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    gradients = []
    for case in CASES:
        images, target = draw(case)
        share = slice(len(images) // 2 * rank, len(images) // 2 * (rank + 1))
        model = DistributedDataParallel(network(case))
        build_loss(case.code, ddp=True, **case.options)(model(images[share]), target[share]).backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    factors = bounded_factor(rank)
    if rank == 0:
        torch.save({"gradients": gradients, "factors": factors}, results)
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
