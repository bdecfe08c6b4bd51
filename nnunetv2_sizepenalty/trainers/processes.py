"""What the processes of a DDP run tell each other; a process alone tells itself."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

Value = TypeVar("Value")
# of a wait that may be as long as the first process works
NO_LIMIT = timedelta(days=30)


def are_several() -> bool:
    """Whether this is one of the processes of a DDP run (nnUNetTrainer.is_ddp)."""
    return dist.is_available() and dist.is_initialized()


def from_first_process(make: Callable[[], Value]) -> Value:
    """Returns what `make` returns in the first process, which alone calls it; every process must call this.

    The others wait as long as that takes: the run's own group would give up after ten minutes, so the value goes
    through a group of its own, of CPUs, whose wait ends early only where the first process dies.
    """
    if not are_several():
        return make()
    group = dist.new_group(timeout=NO_LIMIT, backend="gloo")
    shared = [make() if dist.get_rank() == 0 else None]
    dist.broadcast_object_list(shared, src=0, group=group)
    dist.destroy_process_group(group)
    return shared[0]


def of_all_processes(values: Sequence[Value]) -> list[Value]:
    """Lists every process's values, in the order of the processes; every process must call this."""
    if not are_several():
        return list(values)
    gathered: list = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, list(values))
    return [value for of_process in gathered for value in of_process]


def largest_of_all_processes(number: int, device: torch.device) -> int:
    """Returns the largest of the processes' numbers; every process must call this, with its own `device`."""
    if not are_several():
        return number
    largest = torch.tensor(number, device=device)
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    return int(largest)


def wait_for_all_processes() -> None:
    """Returns once every process has called this."""
    if are_several():
        dist.barrier()
