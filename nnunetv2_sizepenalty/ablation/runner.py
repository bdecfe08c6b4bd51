"""Submits what is left of every run, follows it, and begins again until nothing can be done any more."""

import contextlib
import signal
from collections.abc import Callable
from time import sleep

from nnunetv2_sizepenalty.ablation.executor import Executor
from nnunetv2_sizepenalty.ablation.state import (
    DONE,
    FAILED,
    QUEUED,
    RUNNING,
    WAITING,
    Ablation,
    State,
    clear_failure,
    read_state,
    record_failure,
)

POLL_S = 1.0


class Runner:
    """Drives an ablation on an executor; `states` is what is known of each run, by key."""

    def __init__(self, ablation: Ablation, executor: Executor):
        self.ablation, self.executor = ablation, executor
        self.states: dict[str, State] = {}
        self._submitted: dict[str, State] = {}  # runs with a job of ours -> their state before it
        self._given_up: set[str] = set()

    def run(self, show: Callable[[dict[str, State]], None]) -> None:
        """Works until every run is done or failed; `show` is called with the states again and again.

        What failed in an earlier call is tried again, once.
        """
        self._read_states()
        for run in self.ablation.runs:
            if self.states[run.key].kind == FAILED:
                clear_failure(run)
        while self._turn():
            show(self.states)
            sleep(POLL_S)
        show(self.states)

    def _read_states(self) -> None:
        for run in self.ablation.runs:
            before = self.states.get(run.key)
            if before is None or before.kind != DONE:
                self.states[run.key] = read_state(self.ablation, run)

    def _turn(self) -> bool:
        """One look at everything; False when nothing is left to wait for."""
        active = self.executor.active()
        self._read_states()
        for key in [key for key in self._submitted if key not in active]:
            self._job_ended(key, self._submitted.pop(key))
        todo = [
            run.key
            for run in self.ablation.runs
            if self.states[run.key].kind == QUEUED and run.key not in active and run.key not in self._given_up
        ]
        if todo := todo[: self.executor.free()]:
            self._submitted |= {key: self.states[key] for key in todo}
            self.executor.submit(self.ablation, todo)
        return bool(todo or active or any(state.kind == RUNNING for state in self.states.values()))

    def _job_ended(self, key: str, before: State) -> None:
        run = self.ablation.run(key)
        outcome = self.executor.outcome(key)
        if outcome == FAILED:
            self._given_up.add(key)
        elif outcome not in (DONE, WAITING, RUNNING) and self.states[key].kind == QUEUED:
            self._given_up.add(key)
            reason = outcome or "the job ended without a word, as one does that is killed, perhaps for memory"
            record_failure(run, before.detail, reason)
        self.states[key] = read_state(self.ablation, run)

    def interrupt(self) -> str:
        """Ends this call's part; returns what becomes of the jobs."""
        return self.executor.stop()


@contextlib.contextmanager
def sigterm_as_ctrl_c():
    """SIGTERM ends a call as Ctrl-C does."""

    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
