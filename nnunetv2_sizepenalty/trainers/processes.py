"""One value for all processes of a DDP run."""

from collections.abc import Callable
from typing import TypeVar

import torch.distributed as dist
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

Value = TypeVar("Value")


def from_first_process(trainer: nnUNetTrainer, make: Callable[[], Value]) -> Value:
    """What `make` returns in the first process, which alone calls it; every process must call this."""
    shared = [make() if trainer.local_rank == 0 else None]
    if trainer.is_ddp:
        dist.broadcast_object_list(shared)
    return shared[0]
