"""Which models are compared when some of their runs are missing; the table and the report that show the holes."""

import pytest
from rich.console import Console

from nnunetv2_sizepenalty.ablation.process import open_log
from nnunetv2_sizepenalty.ablation.report import write_results
from nnunetv2_sizepenalty.ablation.results import whole_models
from nnunetv2_sizepenalty.ablation.state import DONE, FAILED, QUEUED, State
from nnunetv2_sizepenalty.ablation.table import make_table, summary

A, B = "nnUNetTrainer", "nnUNetTrainerDCS_nnUNet"

HOLES = {
    "none": ([], {A: [0, 3], B: [0, 3]}, ""),
    "one fold of one repeat": ([(A, 1, 3)], {A: [0], B: [0, 3]}, f"{A} is compared without repeat 3"),
    "a fold of each repeat": ([(A, 1, 3), (A, 0, 0)], {B: [0, 3]}, f"{A} is not compared: 2 of its 4 runs are missing"),
}


@pytest.mark.parametrize(("failed", "compared", "line"), HOLES.values(), ids=HOLES)
def test_models_are_compared_on_whole_repeats_alone(make_ablation, failed, compared, line):
    runs = make_ablation(seeds=[0, 3]).runs
    states = {run.key: State(FAILED if (run.model, run.fold, run.seed) in failed else DONE) for run in runs}
    models, lines = whole_models(runs, states)
    assert {name: sorted({run.seed for run in of_model}) for name, of_model in models.items()} == compared
    assert all(len(of_model) == 2 * len(compared[name]) for name, of_model in models.items())
    assert line in "".join(lines)
    assert bool(lines) == bool(failed)


def test_the_table_shows_every_run_and_the_end_of_what_failed(make_ablation):
    ablation = make_ablation(seeds=[0])
    states = {run.key: State(DONE) for run in ablation.runs}
    broken = ablation.runs[0]
    states[broken.key] = State(FAILED, "training: exit code 1")
    with open_log(broken.log) as log:
        log.write("first\n" + "line\n" * 20 + "RuntimeError: [red]out of memory\n")
    console = Console(width=300, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(make_table(ablation.runs, states))
    text = console.export_text()
    assert text.count("done ") == 3
    assert "training: exit code 1" in text
    assert "RuntimeError: [red]out of memory" in text
    assert "first" not in text
    assert summary(states) == "3 done, 1 failed"


def test_a_long_matrix_shows_what_happens(make_ablation):
    ablation = make_ablation(folds=list(range(40)))
    states = {run.key: State(DONE) for run in ablation.runs}
    states[ablation.runs[-1].key] = State(QUEUED, "training")
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(make_table(ablation.runs, states))
    text = console.export_text()
    assert "queued" in text
    assert text.count("done") == 30
    assert "79 done, 1 queued" in text


def test_a_report_without_any_finished_run_shows_the_holes(make_ablation):
    ablation = make_ablation()
    states = {run.key: State(FAILED, "training: <exit> code 1") for run in ablation.runs}
    with open_log(ablation.runs[0].log) as log:
        log.write("Traceback <module>\n")
    page = write_results(ablation, states).read_text()
    assert "4 of the runs are missing" in page
    assert page.count("training: &lt;exit&gt; code 1") == 8
    assert "Traceback &lt;module&gt;" in page
    assert (ablation.out / "runs.csv").read_text().count("failed") == 4
