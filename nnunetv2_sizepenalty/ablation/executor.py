"""Where jobs run: as processes on this machine, as arrays on Slurm, or in this very process; all through submitit."""

import contextlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from time import monotonic, sleep
from typing import Protocol

import submitit
import torch

from nnunetv2_sizepenalty.ablation.job import RunJob
from nnunetv2_sizepenalty.ablation.state import Ablation
from nnunetv2_sizepenalty.errors import UserError

_YEAR_MIN = 365 * 24 * 60


class Executor(Protocol):
    """What the runner needs of a place where jobs run."""

    live: bool

    def free(self) -> int:
        """How many jobs may be submitted now."""

    def submit(self, ablation: Ablation, keys: Sequence[str]) -> None:
        """Submits a job for each run."""

    def active(self) -> set[str]:
        """Runs whose job is queued or running."""

    def outcome(self, key: str) -> str | None:
        """What an ended job returned, or its error in a line; None where it was killed."""

    def stop(self) -> str:
        """Ends the jobs, or lets them go on; says which."""


def read_outcome(job: submitit.Job, patience_s: float = 0.0) -> str | None:
    """Returns what the job returned, or the last line of its traceback; None where it left nothing.

    Args:
        patience_s: a network file system may show it some seconds late.
    """
    until = monotonic() + patience_s
    while not job.paths.result_pickle.exists():
        if monotonic() >= until:
            return None
        sleep(1)
    kind, value = submitit.core.utils.pickle_load(job.paths.result_pickle)
    return value if kind == "success" else value.strip().splitlines()[-1]


class Debug:
    """One run after another in this process, where a debugger can look."""

    live = False

    def __init__(self, folder: Path, gpus: int = 1):
        self._executor = submitit.DebugExecutor(folder)
        self._gpus = gpus
        self._outcomes: dict[str, str] = {}

    def free(self) -> int:
        return 1

    def submit(self, ablation: Ablation, keys: Sequence[str]) -> None:
        for key in keys:
            print(f"{key}: log in {ablation.run(key).log}", flush=True)
            self._outcomes[key] = self._executor.submit(RunJob(ablation, key, gpus=self._gpus)).result()
            print(f"{key}: {self._outcomes[key]}", flush=True)

    def active(self) -> set[str]:
        return set()

    def outcome(self, key: str) -> str | None:
        return self._outcomes[key]

    def stop(self) -> str:
        return "stopped"


class Local:
    """As many processes as there are slots, each with GPUs of its own."""

    live = True

    def __init__(self, folder: Path, slots: Sequence[tuple[int, ...]]):
        """
        Args:
            slots: the GPUs of each, () on a CPU.
        """
        self._folder, self._free = folder, list(slots)
        self._gpus = max(1, len(slots[0]))
        self._jobs: dict[str, tuple[submitit.Job, tuple[int, ...]]] = {}
        self._ended: dict[str, submitit.Job] = {}

    def free(self) -> int:
        self.active()
        return len(self._free)

    def submit(self, ablation: Ablation, keys: Sequence[str]) -> None:
        for key in keys:
            slot = self._free.pop(0)
            executor = submitit.LocalExecutor(self._folder)
            executor.update_parameters(timeout_min=_YEAR_MIN, gpus_per_node=len(slot), visible_gpus=slot)
            with _ctrl_c_ignored():
                self._jobs[key] = executor.submit(RunJob(ablation, key, gpus=self._gpus)), slot

    def active(self) -> set[str]:
        for key, (job, slot) in list(self._jobs.items()):
            if job.done():
                self._ended[key] = self._jobs.pop(key)[0]
                self._free.append(slot)
        return set(self._jobs)

    def outcome(self, key: str) -> str | None:
        return read_outcome(self._ended[key])

    def stop(self) -> str:
        # again and again: submitit's own handler lets the signal pass until ours is in place
        until = monotonic() + 90
        while self.active() and monotonic() < until:
            for job, _ in self._jobs.values():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(job.job_id), signal.SIGTERM)
            sleep(2)
        return "stopped; this package's trainers have saved"


@contextlib.contextmanager
def _ctrl_c_ignored():
    """Lets what is started meanwhile not get Ctrl-C from the terminal: its parent tells it how to end."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def share_cores(slots: Sequence[tuple[int, ...]]) -> None:
    """Before runs beside each other on a CPU: nnU-Net gives each as many threads as there are cores, and threads that
    spin while they wait for each other take the cores from those that work."""
    if len(slots) > 1 and not slots[0]:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def local_slots(device: str, gpus: int, jobs: int | None) -> list[tuple[int, ...]]:
    """Finds how many runs this machine takes at a time, and the GPUs of each.

    Raises:
        UserError: there are too few GPUs, or `jobs` is named where GPUs decide.
    """
    if device != "cuda":
        return [()] * (jobs or 1)
    if jobs is not None:
        raise UserError("--jobs is for runs without GPUs: on cuda there is one run per GPU (--gpus: GPUs of a run)")
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    try:
        numbers = [int(n) for n in visible.split(",")] if visible else list(range(torch.cuda.device_count()))
    except ValueError:
        raise UserError(f"CUDA_VISIBLE_DEVICES={visible}: name GPUs by their numbers") from None
    if len(numbers) < gpus:
        raise UserError(f"{len(numbers)} GPUs are here and a run takes {gpus}: use -device cpu or fewer --gpus")
    return [tuple(numbers[i : i + gpus]) for i in range(0, len(numbers) - gpus + 1, gpus)]
