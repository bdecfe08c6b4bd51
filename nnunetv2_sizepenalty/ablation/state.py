"""Where each run stands, read from its files alone."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunetv2_sizepenalty.ablation.commands import Stage, marker, scoring_stages, threshold_stages
from nnunetv2_sizepenalty.ablation.lock import holder
from nnunetv2_sizepenalty.ablation.matrix import Matrix
from nnunetv2_sizepenalty.ablation.runs import Run, peers_of
from nnunetv2_sizepenalty.atomic import atomic_file
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.fold_folder import finished, progress, resumable_checkpoint, validated

DONE, RUNNING, FAILED, WAITING, QUEUED = "done", "running", "failed", "waiting", "queued"
LOG_LINES = 12


@dataclass(frozen=True)
class Ablation:
    """A matrix and its runs; `raw` is nnU-Net's nnUNet_raw, `out` the ablation's folder."""

    matrix: Matrix
    runs: tuple[Run, ...]
    raw: Path
    out: Path

    def run(self, key: str) -> Run:
        return next(run for run in self.runs if run.key == key)


@dataclass(frozen=True)
class Step:
    """What a run needs next: its training, `stage`, or other folds' trainings to wait for."""

    name: str
    stage: Stage | None = None
    option: str | None = None
    waiting: bool = False


@dataclass(frozen=True)
class State:
    """A run's state in words: `kind`, and `detail` for the table."""

    kind: str
    detail: str = ""


def key_of(stage: Stage) -> str | None:
    """Says what a stage's result depends on; None while an input is missing."""
    try:
        status = [(str(path), path.stat()) for path in stage.inputs]
    except FileNotFoundError:
        return None
    return json.dumps([stage.work.what, [(name, file.st_size, file.st_mtime_ns) for name, file in status]])


def is_done(run: Run, stage: Stage) -> bool:
    """Tells whether the stage's folder is complete and was made from the inputs as they are now."""
    try:
        return marker(run, stage.name).read_text(encoding="utf-8") == key_of(stage)
    except OSError:
        return False


def mark_done(run: Run, stage: Stage, key: str) -> None:
    """Marks a stage's folder as complete, made from what `key` says."""
    with atomic_file(marker(run, stage.name)) as path:
        path.write_text(key, encoding="utf-8")


def next_step(ablation: Ablation, run: Run) -> Step | None:
    """Finds what the run needs next, None where nothing is left.

    Raises:
        UserError: no other fold was trained that could choose the run's threshold.
    """
    if not finished(run.fold_folder):
        left = resumable_checkpoint(run.fold_folder)
        return Step("training", option="--c" if left else None)
    if not validated(run.fold_folder, run.part.validation):
        return Step("validation", option="--val")
    raw = ablation.raw / run.dataset
    for stage in scoring_stages(run, ablation.matrix, raw):
        if not is_done(run, stage):
            return Step(stage.name, stage)
    chosen_on = _chosen_on(ablation, run)
    if chosen_on is None:
        return Step("operating_point", waiting=True)
    for stage in threshold_stages(run, ablation.matrix, raw, chosen_on):
        if not is_done(run, stage):
            return Step(stage.name, stage)
    return None


def _chosen_on(ablation: Ablation, run: Run) -> Sequence[Run] | None:
    """Finds the folds whose validation cases choose the run's threshold; None while one of them may still come."""
    if not run.part.cross_fitted:
        return (run,)
    peers = peers_of(run, ablation.runs)
    ready = [peer for peer in peers if peer.trained]
    if any(peer not in ready and read_failure(peer) is None for peer in peers):
        return None
    if not ready:
        raise UserError("no other fold was trained, so nothing can choose a threshold for this one")
    return ready


def _failure_file(run: Run) -> Path:
    return run.folder / "failed.json"


def record_failure(run: Run, step: str, reason: str) -> None:
    """Keeps why a run stopped, for tables and report, until it is tried again."""
    with atomic_file(_failure_file(run)) as path:
        path.write_text(json.dumps({"step": step, "reason": reason}), encoding="utf-8")


def clear_failure(run: Run) -> None:
    _failure_file(run).unlink(missing_ok=True)


def read_failure(run: Run) -> str | None:
    """Says where and why a run stopped; None where it didn't."""
    try:
        failure = json.loads(_failure_file(run).read_text(encoding="utf-8"))
        return f"{failure['step']}: {failure['reason']}"
    except (OSError, ValueError):
        return None


def log_tail(run: Run) -> list[str]:
    """Reads the last lines of a run's log."""
    try:
        return run.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
    except OSError:
        return []


def read_state(ablation: Ablation, run: Run) -> State:
    """Reads the run's state from its files."""
    who = holder(run.lock)
    if who and not finished(run.fold_folder):
        return State(RUNNING, progress(run.fold_folder) or who)
    failure = None if who else read_failure(run)
    if failure:
        return State(FAILED, failure)
    try:
        step = next_step(ablation, run)
    except UserError as error:
        return State(FAILED, str(error))
    if who:
        return State(RUNNING, step.name if step else who)
    if step is None:
        return State(DONE)
    return State(WAITING if step.waiting else QUEUED, step.name)
