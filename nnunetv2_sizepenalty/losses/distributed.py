"""A sum over the processes of a distributed run that gradients flow through."""

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


def global_sum(tensor: Tensor, ddp: bool) -> Tensor:
    """Sum of `tensor` over all processes with `ddp`, else `tensor`.

    The gradient is summed over the processes too (as by nnU-Net's AllGatherGrad), so that after DDP's averaging n
    processes with equal shares get the gradient that one process gets. Every process must call it.
    """
    return _GlobalSum.apply(tensor) if ddp else tensor
