"""Batches that depend on the run's seed and their place in the run alone, whatever makes them.

nnU-Net's workers seed themselves from the system and share one torch stream. Here each batch has random streams of its
own, so two runs with one seed get the same batches, with any number of workers, also when one of them was interrupted.
"""

import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from batchgenerators.dataloading.multi_threaded_augmenter import MultiThreadedAugmenter
from batchgenerators.dataloading.single_threaded_augmenter import SingleThreadedAugmenter
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA

from nnunetv2_sizepenalty.trainers.processes import from_first_process


def seed_everything(entropy: Sequence[int]) -> None:
    """Seeds Python, NumPy and torch with three different numbers drawn from `entropy`."""
    python_seed, numpy_seed, torch_seed = np.random.SeedSequence(list(entropy)).generate_state(3)
    random.seed(int(python_seed))
    np.random.seed(numpy_seed)
    torch.manual_seed(int(torch_seed))


def run_entropy(seed: int | None) -> int:
    """Returns the number that names a run's batches, and with a seed seeds this process.

    Every process of a DDP run must start from the same weights, and gets the same number.
    """
    if seed is None:
        return from_first_process(lambda: np.random.SeedSequence().entropy)
    seed_everything((seed,))
    return seed


class SeededLoader:
    """A batchgenerators loader whose batch number n, counted from the run's start, is the same in every run.

    Args:
        loader: what makes the batches, from the global random streams alone.
        entropy: numbers that name this run and this loader; a batch's number is added to them.
        first: number of the first batch, above 0 in a run that goes on.
    """

    def __init__(self, loader, entropy: Sequence[int], first: int = 0):
        self.loader = loader
        self.entropy = tuple(entropy)
        self.first = first
        self.workers = 1  # `start` says how many take turns

    def set_thread_id(self, thread_id: int) -> None:
        """Called by batchgenerators once in each worker, before its first batch."""
        self._number = self.first + thread_id
        self.loader.set_thread_id(thread_id)

    def make(self, number: int) -> dict:
        """Batch `number`."""
        return next(self.loader)

    def __iter__(self) -> Iterator[dict]:
        return self

    def __next__(self) -> dict:
        seed_everything((*self.entropy, self._number))
        batch = self.make(self._number)
        self._number += self.workers
        return batch


@contextmanager
def _no_workers() -> Iterator[None]:
    before = os.environ.get("nnUNet_n_proc_DA")
    os.environ["nnUNet_n_proc_DA"] = "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ["nnUNet_n_proc_DA"]
        else:
            os.environ["nnUNet_n_proc_DA"] = before


def unstarted_loaders(get_dataloaders: Callable[[], tuple]) -> tuple:
    """nnU-Net's training and validation loaders as its `get_dataloaders` builds them, without workers around them."""
    with _no_workers():
        train, validation = get_dataloaders()
    return train.data_loader, validation.data_loader


def start(loader: SeededLoader, processes: int, cached: int, pin_memory: bool):
    """Puts `loader` behind that many workers, whose batches come in a fixed order; in this process with 0."""
    loader.workers = max(1, processes)
    if processes == 0:
        loader.set_thread_id(0)
        return SingleThreadedAugmenter(loader, None)
    augmenter = MultiThreadedAugmenter(
        loader,
        None,
        processes,
        num_cached_per_queue=max(1, cached // processes),
        seeds=list(range(processes)),
        pin_memory=pin_memory,
        wait_time=0.002,
    )
    augmenter.restart()  # the workers start before the process holds signal handlers and CUDA memory
    return augmenter


def start_both(train: SeededLoader, validation: SeededLoader, pin_memory: bool) -> tuple:
    """Puts workers before a run's loaders, as many as nnU-Net would."""
    processes = get_allowed_n_proc_DA()
    return (
        start(train, processes, max(6, processes // 2), pin_memory),
        start(validation, (processes + 1) // 2, max(3, processes // 4), pin_memory),
    )
