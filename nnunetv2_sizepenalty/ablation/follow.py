"""An ablation from start to report, as a terminal or a log shows it."""

from collections.abc import Mapping

from rich.console import Console
from rich.live import Live

from nnunetv2_sizepenalty.ablation.executor import Executor
from nnunetv2_sizepenalty.ablation.report import write_results
from nnunetv2_sizepenalty.ablation.runner import Runner, sigterm_as_ctrl_c
from nnunetv2_sizepenalty.ablation.state import DONE, Ablation, State
from nnunetv2_sizepenalty.ablation.table import make_table, summary


def follow(ablation: Ablation, executor: Executor) -> int:
    """Runs what is left, shows where each run stands, and reports.

    Returns:
        The exit code: 0 where every run is done, 1 where one isn't, 130 after Ctrl-C or SIGTERM.
    """
    runner = Runner(ablation, executor)
    console = Console()
    shown = set()

    def print_changes(states: Mapping[str, State]) -> None:
        """Outside a terminal a line a change is what a log can hold."""
        for key, state in states.items():
            if (key, state.kind) not in shown:
                shown.add((key, state.kind))
                print(f"{key}: {state.kind} {state.detail}", flush=True)

    try:
        with sigterm_as_ctrl_c():
            if console.is_terminal and executor.live:
                with Live(console=console, refresh_per_second=2) as live:
                    runner.run(lambda states: live.update(make_table(ablation.runs, states)))
            else:
                runner.run(print_changes)
    except KeyboardInterrupt:
        print(f"Interrupted: {runner.interrupt()}. The same command goes on from here.", flush=True)
        return 130
    return report_states(ablation, runner.states)


def report_states(ablation: Ablation, states: Mapping[str, State]) -> int:
    """Compares and reports what is done; returns the exit code, 0 where every run is."""
    page = write_results(ablation, states)
    print(f"{summary(states)}; see {page}")
    return 0 if all(state.kind == DONE for state in states.values()) else 1
