"""Lines that tell the user what a plan did with the request."""

from collections.abc import Iterable, Sequence

from nnunetv2_sizepenalty.planning.memory import CUDA_RESERVE, GIB, StepMemory


def by(size: Iterable[int]) -> str:
    """32x128x128."""
    return "x".join(map(str, size))


def rounding_note(option: str, asked: Sequence[int], planned: Sequence[int], divisor: Sequence[int]) -> list[str]:
    if tuple(asked) == tuple(planned):
        return []
    return [f"{option} {by(asked)} is rounded up to {by(planned)}, a multiple of the strides' {by(divisor)}"]


def padding_note(median_size: Sequence[float], patch_size: Sequence[int]) -> list[str]:
    if all(n >= p for n, p in zip(median_size, patch_size, strict=True)):
        return []
    return [
        f"The median image, {by(round(float(n)) for n in median_size)} voxels, is smaller than the patch "
        f"{by(patch_size)} along an axis: nnU-Net pads with zeros, which are background"
    ]


def memory_note(memory: StepMemory, batch_size: int, target_gb: float) -> str:
    needed = (memory.at(batch_size) + CUDA_RESERVE) / GIB
    note = f"A training step with mixed precision takes about {needed:.1f} GB (target {target_gb:g})"
    if needed <= target_gb:
        return note
    fitting = memory.largest_batch(target_gb * GIB - CUDA_RESERVE)
    remedy = f"--batch {fitting}, a smaller --patch" if fitting else "a smaller --patch"
    return f"{note}: too much for the target; use {remedy} or more GPUs"
