"""How much memory a training step of a network takes, without running one: it is played on the meta device."""

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

GIB = 2**30

# CUDA's context and cuDNN's workspace: an allowance, not a measurement.
CUDA_RESERVE = GIB // 2


@dataclass(frozen=True)
class StepMemory:
    """Peak bytes of a training step, linear in the batch size.

    Attributes:
        fixed: weights and AdamW's two states.
        per_sample: activations kept for the backward pass, and the gradients beside them at the peak.
    """

    fixed: int
    per_sample: int

    def at(self, batch_size: int) -> int:
        return self.fixed + batch_size * self.per_sample

    def scaled(self, factor: float) -> "StepMemory":
        """That of patches with `factor` times the voxels: all maps grow with the patch."""
        return replace(self, per_sample=round(factor * self.per_sample))

    def largest_batch(self, limit: float) -> int:
        """Finds the largest batch size that stays below `limit` bytes; 0 if none does."""
        return max(0, int((limit - self.fixed) // self.per_sample))


class _LiveBytes(TorchDispatchMode):
    """Counts the bytes of all storages that operations make, as long as something holds them."""

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self._known = {}

    def ignore(self, tensor: torch.Tensor) -> None:
        self._known[tensor.untyped_storage()._cdata] = None

    def _forget(self, key: int, n_bytes: int) -> None:
        self.now -= n_bytes
        del self._known[key]

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        output = func(*args, **(kwargs or {}))
        for tensor in tree_iter(output):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in self._known:
                    n_bytes = storage.nbytes()
                    self._known[storage._cdata] = weakref.finalize(storage, self._forget, storage._cdata, n_bytes)
                    self.now += n_bytes
                    self.peak = max(self.peak, self.now)
        return output


def simulate_step(
    build: Callable[[], nn.Module], input_channels: int, patch_size: Sequence[int], *, mixed_precision: bool = True
) -> StepMemory:
    """Memory of forward, backward and AdamW on patches of `patch_size`; no weights, maps or gradients are made.

    Mixed precision is a network in half precision plus float32 weights and optimizer states. What the loss itself
    holds is left out: maps of a few channels beside dozens.

    Args:
        build: makes the network; it is called under the meta device.
    """
    dtype = torch.float16 if mixed_precision else torch.float32
    with torch.device("meta"):
        network = build().train().to(dtype)
        x = torch.empty(1, input_channels, *patch_size, dtype=dtype)
    with _LiveBytes() as live:
        for parameter in network.parameters():
            live.ignore(parameter)
        outputs = network(x)
        sum(output.float().mean() for output in (outputs if isinstance(outputs, list) else [outputs])).backward()
    # float32 weights and AdamW's two states; autocast keeps a half-precision copy of the weights too.
    n_parameters = sum(parameter.numel() for parameter in network.parameters())
    return StepMemory(fixed=n_parameters * (14 if mixed_precision else 12), per_sample=live.peak + x.nbytes)
