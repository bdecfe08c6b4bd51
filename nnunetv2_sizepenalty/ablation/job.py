"""The work of one run in one process, from where its files say it stands; what submitit submits and requeues."""

import os
import shutil
import signal
import subprocess
import sys
import traceback
from time import sleep
from typing import TextIO

from submitit.helpers import DelayedSubmission

from nnunetv2_sizepenalty.ablation.calls import NnunetCommand
from nnunetv2_sizepenalty.ablation.commands import Stage, train_command
from nnunetv2_sizepenalty.ablation.lock import held, owner
from nnunetv2_sizepenalty.ablation.process import CommandFailed, call, ended, open_log, start, stop, write_line
from nnunetv2_sizepenalty.ablation.runs import Run
from nnunetv2_sizepenalty.ablation.state import (
    DONE,
    FAILED,
    RUNNING,
    WAITING,
    Ablation,
    Step,
    clear_failure,
    key_of,
    mark_done,
    next_step,
    record_failure,
)
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.fold_folder import resumable_checkpoint, set_aside_unreadable
from nnunetv2_sizepenalty.nnunet_io.folders import RESULTS

_TOLD_TO_END = (-signal.SIGTERM, 128 + signal.SIGTERM)
# Slurm kills what it has told to end after KillWait, half a minute unless a cluster says otherwise.
_GRACE_S = 120


class RunJob:
    """Does all that is left of a run; returns DONE, WAITING (for other folds), FAILED or RUNNING (elsewhere).

    `checkpoint` is submitit's hook: a job whose time is nearly up lets its training save, and is queued again.
    """

    def __init__(self, ablation: Ablation, key: str, *, gpus: int = 1, patience_s: float = 60.0):
        """
        Args:
            key: of the run.
            gpus: for its training.
            patience_s: how long a training may take to save once it is told to.
        """
        self.ablation, self.key, self.gpus, self.patience_s = ablation, key, gpus, patience_s
        self._child: subprocess.Popen | None = None

    def checkpoint(self) -> DelayedSubmission:
        self._stop()
        return DelayedSubmission(RunJob(self.ablation, self.key, gpus=self.gpus, patience_s=self.patience_s))

    def __call__(self) -> str:
        run = self.ablation.run(self.key)
        if os.environ.get("SUBMITIT_EXECUTOR") == "local":
            # submitit lets SIGTERM pass, which is how the one who started a local job ends it
            signal.signal(signal.SIGTERM, self._end)
        with held(run.lock) as lock:
            if lock is None:
                return RUNNING
            clear_failure(run)
            with open_log(run.log) as log:
                write_line(log, f"{self.key}: {owner()}")
                try:
                    return self._work(run, log, lock)
                finally:
                    self._stop()

    def _work(self, run: Run, log: TextIO, lock: int) -> str:
        behind: list[str] = []
        name = "start"
        try:
            while step := next_step(self.ablation, run):
                if step.waiting:
                    return WAITING
                name = step.name
                if name in behind:
                    raise CommandFailed("ended without an error, but its output is not complete")
                behind.append(name)
                self._do(step, run, log, lock)
        except (CommandFailed, UserError) as error:
            write_line(log, f"{name} failed: {error}")
            record_failure(run, name, str(error))
            return FAILED
        except Exception as error:
            log.write(traceback.format_exc())
            record_failure(run, name, repr(error))
            return FAILED
        write_line(log, "complete")
        return DONE

    def _do(self, step: Step, run: Run, log: TextIO, lock: int) -> None:
        if step.stage is not None:
            self._do_stage(step.stage, run, log, lock)
            return
        if step.name == "training":
            for line in set_aside_unreadable(run.fold_folder):
                write_line(log, line)
            left = resumable_checkpoint(run.fold_folder)
            write_line(log, f"training goes on from {left}" if left else "training starts anew")
        command = train_command(run, self.ablation.matrix, self.gpus, option=step.option)
        self._run(command, run, log, lock)

    def _do_stage(self, stage: Stage, run: Run, log: TextIO, lock: int) -> None:
        key = key_of(stage)
        if key is None:
            raise UserError(f"{stage.name} lacks one of {', '.join(map(str, stage.inputs))}")
        folder = run.folder / stage.name
        if stage.keeps:
            (folder / ".done.json").unlink(missing_ok=True)
        elif folder.exists():
            shutil.rmtree(folder)
        if isinstance(stage.work, NnunetCommand):
            self._run(stage.command, run, log, lock)
        else:
            call(stage.work, log)
        mark_done(run, stage, key)

    def _run(self, command: tuple[str, ...], run: Run, log: TextIO, lock: int) -> None:
        self._child = start(command, log, {RESULTS: str(run.nnunet_results)}, [lock])
        while not ended(self._child):
            sleep(0.2)
        code, self._child = self._child.returncode, None
        if code in _TOLD_TO_END and os.environ.get("SUBMITIT_EXECUTOR") == "slurm":
            # Slurm takes the whole job away, perhaps to queue it again: that is no failure of the run
            write_line(log, f"{command[0]} was told to end by SIGTERM")
            sleep(_GRACE_S)
        if code:
            raise CommandFailed(f"{command[0]} ended with exit code {code}")

    def _stop(self) -> None:
        if self._child is not None:
            stop(self._child, self.patience_s)

    def _end(self, number: int, frame: object) -> None:
        self._stop()
        sys.exit(128 + number)
