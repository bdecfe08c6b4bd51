"""Sums over the processes of a distributed run, which gradients flow through, and the largest of them."""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor


class _GlobalSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient)
        return gradient


def global_sums(*tensors: Tensor, ddp: bool) -> Sequence[Tensor]:
    """Returns the sums of `tensors`, of one shape, over all processes with `ddp`; else they themselves.

    The gradient is summed over the processes too (as by nnU-Net's AllGatherGrad), so that after DDP's averaging n
    processes with equal shares get the gradient that one process gets. Every process must call it.
    """
    return _GlobalSum.apply(torch.stack(tensors)).unbind() if ddp else tensors


def global_max(value: Tensor, ddp: bool) -> Tensor:
    """Returns the largest `value` of all processes with `ddp`, without a gradient; every process must call it."""
    if ddp:
        value = value.clone()
        dist.all_reduce(value, dist.ReduceOp.MAX)
    return value
