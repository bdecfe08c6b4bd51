"""Slurm: arrays of jobs that are requeued whenever their time is up."""

import contextlib
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import submitit
from submitit.slurm.slurm import _make_sbatch_string

from nnunetv2_sizepenalty.ablation.executor import read_outcome
from nnunetv2_sizepenalty.ablation.job import RunJob
from nnunetv2_sizepenalty.ablation.runs import Run
from nnunetv2_sizepenalty.ablation.state import Ablation
from nnunetv2_sizepenalty.atomic import atomic_file
from nnunetv2_sizepenalty.errors import UserError

# submitit gives up after three time-outs unless it is told otherwise.
TIMEOUTS = 1_000_000


@dataclass(frozen=True)
class SlurmOptions:
    """How jobs are submitted.

    Attributes:
        minutes: time limit of a job.
        gpus: that each run is trained on.
        others: sbatch's options beside these, without their dashes.
    """

    minutes: int
    partition: str | None = None
    gpus: int = 0
    others: Mapping[str, str] = field(default_factory=dict)

    @property
    def signal_delay_s(self) -> int:
        """How long before its end a job is told; Slurm may be half a minute early."""
        return min(90, 15 * self.minutes)

    @property
    def parameters(self) -> dict[str, Any]:
        """As submitit's Slurm executor names them."""
        optional = {
            "partition": self.partition,
            "gpus_per_node": self.gpus or None,
            "additional_parameters": dict(self.others) or None,
        }
        return {
            "job_name": "ablate",
            "time": self.minutes,
            "signal_delay_s": self.signal_delay_s,
            **{name: value for name, value in optional.items() if value is not None},
        }


def batch_script(folder: Path, options: SlurmOptions, n: int) -> str:
    """Returns the script that submitit hands to sbatch for an array of `n` runs."""
    command = f"{shlex.quote(sys.executable)} -u -m submitit.core._submit {shlex.quote(str(folder))}"
    array = {"map_count": n} if n > 1 else {}
    return _make_sbatch_string(command=command, folder=folder, **options.parameters, **array)


class Slurm:
    """Submits arrays and asks squeue for them: sacct needs an accounting that not every cluster has."""

    live = True

    def __init__(self, ablation: Ablation, options: SlurmOptions):
        """Takes over the jobs of an earlier call that Slurm still has.

        Raises:
            UserError: there is no Slurm here.
        """
        if shutil.which("sbatch") is None or shutil.which("srun") is None:
            raise UserError("--executor slurm: no sbatch and srun here; call this where Slurm's commands are")
        self._options = options
        self._executor = submitit.SlurmExecutor(ablation.out / "jobs", max_num_timeout=TIMEOUTS)
        self._executor.update_parameters(**options.parameters)
        self._jobs: dict[str, submitit.Job] = {}
        self._ended: dict[str, submitit.Job] = {}
        for run in ablation.runs:
            with contextlib.suppress(OSError):
                self._jobs[run.key] = submitit.SlurmJob(self._executor.folder, _job_file(run).read_text())
        self.active()
        self._ended.clear()

    def free(self) -> int:
        return sys.maxsize

    def submit(self, ablation: Ablation, keys: Sequence[str]) -> None:
        patience = self._options.signal_delay_s * 2 / 3
        with self._executor.batch():
            jobs = [
                self._executor.submit(RunJob(ablation, key, gpus=max(1, self._options.gpus), patience_s=patience))
                for key in keys
            ]
        for key, job in zip(keys, jobs, strict=True):
            self._jobs[key] = job
            with atomic_file(_job_file(ablation.run(key))) as path:
                path.write_text(job.job_id)

    def active(self) -> set[str]:
        listed = subprocess.run(["squeue", "--me", "-h", "-r", "-o", "%i"], capture_output=True, text=True)
        if listed.returncode == 0:  # Slurm's controller may be away for a while
            queued = set(listed.stdout.split())
            for key, job in list(self._jobs.items()):
                if job.job_id not in queued:
                    self._ended[key] = self._jobs.pop(key)
        return set(self._jobs)

    def outcome(self, key: str) -> str | None:
        return read_outcome(self._ended[key], patience_s=10)

    def stop(self) -> str:
        ids = " ".join(sorted({job.job_id.split("_")[0] for job in self._jobs.values()}))
        return f"the jobs go on, and the next call follows them; `scancel {ids}` ends them" if ids else "stopped"


def _job_file(run: Run) -> Path:
    """Tells where the id of a run's last job is, for the next call to follow it."""
    return run.folder / "slurm_job"
