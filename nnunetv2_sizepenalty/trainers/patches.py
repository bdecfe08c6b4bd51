"""The thesis's patches (section 4.4): two sizes, forced onto lesions, exactly ten a case and epoch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import numpy as np
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager

from nnunetv2_sizepenalty.sampling.patch_volumes import PatchKind
from nnunetv2_sizepenalty.sampling.shifted import Held
from nnunetv2_sizepenalty.trainers.loaders import SeededLoader
from nnunetv2_sizepenalty.trainers.processes import of_all_processes

PATCHES_PER_CASE = 10
LARGE_FOREGROUND, SMALL_FOREGROUND = 0.7, 1.0
NNUNET_FOREGROUND = 0.33


@dataclass(frozen=True)
class SmallPatches:
    """A plan's small patches: their size in voxels, and how often a batch consists of them."""

    size: tuple[int, ...]
    probability: float

    @classmethod
    def of(cls, configuration: dict) -> "SmallPatches | None":
        """What a plan's configuration says of them; None when it isn't one of ours."""
        planned = configuration.get("size_penalty")
        if planned is None:
            return None
        return cls(tuple(planned["small_patch_size"]), planned["small_patch_probability"])


def thesis_patches(configuration: ConfigurationManager) -> tuple[PatchKind, ...]:
    """What the thesis's recipe draws with that configuration: large patches, small ones where the plan has them."""
    size, small = tuple(configuration.patch_size), SmallPatches.of(configuration.configuration)
    if small is None:
        return (PatchKind(size, LARGE_FOREGROUND, probabilistic=True),)
    return (
        PatchKind(size, LARGE_FOREGROUND, probabilistic=True, probability=1 - small.probability),
        PatchKind(small.size, SMALL_FOREGROUND, probabilistic=True, probability=small.probability),
    )


def nnunet_patches(configuration: ConfigurationManager) -> tuple[PatchKind, ...]:
    """What nnU-Net's own recipe draws: by their place in the batch, a third of the patches are forced."""
    return (PatchKind(tuple(configuration.patch_size), NNUNET_FOREGROUND, probabilistic=False),)


def held(trainer: Any) -> Held | None:
    """Returns what a forced patch of that trainer or class holds anywhere; None where it lies as nnU-Net's."""
    if not trainer.shifted:
        return None
    return "voxel" if trainer.sampling is None else "lesion"


def drawn_patches(trainer: Any, configuration: ConfigurationManager) -> tuple[PatchKind, ...]:
    """Returns which patches a trainer or its class draws: its recipe's, with what the name says of forced ones."""
    kinds = (replace(kind, held=held(trainer)) for kind in trainer.patch_kinds(configuration))
    share = trainer.forced_share
    if share is None:
        return tuple(kinds)
    return tuple(replace(kind, foreground=share, probabilistic=True) for kind in kinds)


def batches_per_epoch(n_cases: int, batch_size: int) -> int:
    """Returns how many batches hold ten patches of each case."""
    return ceil(PATCHES_PER_CASE * n_cases / batch_size)


def share_of_batch(batch_size: int, rank: int) -> slice:
    """Returns this process's part of a batch of all processes; `batch_size` is of this one."""
    sizes = of_all_processes([batch_size])
    start = sum(sizes[:rank])
    return slice(start, start + batch_size)


@dataclass(frozen=True)
class BatchSampler:
    """Samples which cases and which size each batch of an epoch has, from these values and the epoch's number alone.

    Every case comes once before one comes again: `PATCHES_PER_CASE` times an epoch, and once more where the last batch
    has to be filled. So any worker or process of a run can tell its own share without asking the others.

    Attributes:
        cases: identifiers.
        batch_size: of all processes together.
        small_probability: of a batch of small patches.
        entropy: numbers that name the run and the loader.
    """

    cases: tuple[str, ...]
    batch_size: int
    small_probability: float
    entropy: tuple[int, ...]

    @property
    def batches(self) -> int:
        """Batches of an epoch."""
        return batches_per_epoch(len(self.cases), self.batch_size)

    def epoch(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns indices into `cases`, int (batches, batch_size), and which batches are small, bool (batches,)."""
        generator = np.random.default_rng([*self.entropy, number])
        small = generator.random(self.batches) < self.small_probability
        needed = self.batches * self.batch_size
        rounds = [generator.permutation(len(self.cases)) for _ in range(ceil(needed / len(self.cases)))]
        return np.concatenate(rounds)[:needed].reshape(self.batches, self.batch_size), small


class TwoSizeLoader(SeededLoader):
    """Makes the batches of a `BatchSampler` with nnU-Net's loaders of the two patch sizes.

    Args:
        large, small: nnU-Net's loaders; `small` may be None where no batch is small.
        sampler: of all processes.
        share: the part of a batch that this process makes, as long as the loaders' batch size.
        entropy, first: as for `SeededLoader`.
    """

    def __init__(
        self,
        large: nnUNetDataLoader,
        small: nnUNetDataLoader | None,
        sampler: BatchSampler,
        share: slice,
        entropy: Sequence[int],
        first: int = 0,
    ):
        super().__init__(large, entropy, first)
        self.small = small
        self.sampler = sampler
        self.share = share
        self._epoch, self._sampled = None, None
        for loader in filter(None, (large, small)):
            # what nnU-Net's loader asks for the cases of a batch: it would draw them with replacement
            loader.get_indices = self._cases_of_batch

    def _cases_of_batch(self) -> list[str]:
        return self._cases

    def make(self, number: int) -> dict:
        epoch, iteration = divmod(number, self.sampler.batches)
        if epoch != self._epoch:
            self._epoch, self._sampled = epoch, self.sampler.epoch(epoch)
        indices, small = self._sampled
        self._cases = [self.sampler.cases[index] for index in indices[iteration, self.share]]
        return next(self.small if small[iteration] else self.loader)
