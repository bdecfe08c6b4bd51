"""The table that is shown while an ablation runs."""

from collections.abc import Mapping, Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from nnunetv2_sizepenalty.ablation.runs import Run
from nnunetv2_sizepenalty.ablation.state import DONE, FAILED, QUEUED, RUNNING, WAITING, State, log_tail

STYLES = {DONE: "green", RUNNING: "bold", FAILED: "red", WAITING: "dim", QUEUED: "dim"}
# A terminal is not taller: of many runs those are shown in which something happens.
MOST_ROWS = 30
_FIRST = (RUNNING, FAILED, QUEUED, WAITING, DONE)
_TAIL_LINES, _TAILS = 4, 3


def make_table(runs: Sequence[Run], states: Mapping[str, State]) -> Group:
    """Shows a row per run, a line of totals, and the last lines of the logs of what failed."""
    shown = sorted(runs, key=lambda run: _FIRST.index(states[run.key].kind))[:MOST_ROWS]
    table = Table("model", "fold", "repeat", "state", "")
    for run in runs:
        if run not in shown:
            continue
        state = states[run.key]
        repeat = "" if run.seed is None else str(run.seed)
        words = Text(state.kind, STYLES[state.kind])
        table.add_row(run.model, str(run.fold), repeat, words, Text(state.detail, overflow="ellipsis", no_wrap=True))
    parts = [table, Text(summary(states))]
    failed = [run for run in runs if states[run.key].kind == FAILED]
    for run in failed[-_TAILS:]:
        parts.append(Text(f"{run.log}:", "red"))
        parts += [Text(f"  {line}", "dim", overflow="ellipsis", no_wrap=True) for line in log_tail(run)[-_TAIL_LINES:]]
    return Group(*parts)


def summary(states: Mapping[str, State]) -> str:
    """Counts how many runs are in which state."""
    kinds = [state.kind for state in states.values()]
    return ", ".join(
        f"{kinds.count(kind)} {kind}" for kind in (DONE, RUNNING, QUEUED, WAITING, FAILED) if kind in kinds
    )
