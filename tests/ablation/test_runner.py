"""The runner on an executor whose jobs end as they are told to: what is submitted, and what is given up."""

import pytest
from ablation_files import finish_stages, finish_training

from nnunetv2_sizepenalty.ablation import runner
from nnunetv2_sizepenalty.ablation.state import DONE, FAILED, RUNNING, record_failure


class Jobs:
    """An executor; `work` is called with each submitted run and returns what its job answers."""

    live = False

    def __init__(self, work, slots=1):
        self.work, self.slots, self.submitted, self.outcomes = work, slots, [], {}

    def free(self):
        return self.slots

    def submit(self, ablation, keys):
        for key in keys:
            self.submitted.append(key)
            self.outcomes[key] = self.work(ablation, ablation.run(key))

    def active(self):
        return set()

    def outcome(self, key):
        return self.outcomes[key]


def finish(ablation, run):
    finish_training(run)
    finish_stages(ablation, run, chosen_on=[run])
    return DONE


@pytest.fixture
def ablation(make_ablation):
    return make_ablation(cross_fitted=False)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(runner, "POLL_S", 0)


def run(ablation, jobs):
    driver = runner.Runner(ablation, jobs)
    driver.run(lambda states: None)
    return [driver.states[run.key] for run in ablation.runs]


def test_what_is_done_is_not_submitted(ablation):
    finish(ablation, ablation.runs[1])
    jobs = Jobs(finish, slots=2)
    assert {state.kind for state in run(ablation, jobs)} == {DONE}
    assert jobs.submitted == [run.key for run in ablation.runs if run != ablation.runs[1]]


def test_a_failure_is_not_tried_again_by_the_same_call_but_by_the_next(ablation):
    broken = ablation.runs[0]

    def fail(ablation, run):
        if run != broken:
            return finish(ablation, run)
        record_failure(run, "training", "exit code 1")
        return FAILED

    jobs = Jobs(fail)
    assert [state.kind for state in run(ablation, jobs)] == [FAILED, DONE, DONE, DONE]
    assert sorted(jobs.submitted) == sorted(run.key for run in ablation.runs)
    again = Jobs(finish)
    assert {state.kind for state in run(ablation, again)} == {DONE}
    assert again.submitted == [broken.key]


@pytest.mark.parametrize(
    ("answer", "detail"),
    [(None, "training: the job ended without a word"), ("UserError: no locks", "training: UserError: no locks")],
    ids=["killed", "an error"],
)
def test_a_job_that_leaves_a_run_as_it_was_is_a_failure(ablation, answer, detail):
    jobs = Jobs(lambda ablation, run: answer)
    assert all(state.kind == FAILED and state.detail.startswith(detail) for state in run(ablation, jobs))
    assert len(jobs.submitted) == 4


def test_a_run_that_somebody_else_had_is_submitted_again(ablation):
    answers = {run.key: [RUNNING] for run in ablation.runs}

    def work(ablation, run):
        return answers[run.key].pop() if answers[run.key] else finish(ablation, run)

    jobs = Jobs(work, slots=4)
    assert {state.kind for state in run(ablation, jobs)} == {DONE}
    assert len(jobs.submitted) == 8


def test_folds_that_choose_for_each_other_are_finished_in_a_second_turn(make_ablation):
    ablation = make_ablation(trainers="nnUNetTrainer")

    def work(ablation, run):
        finish_training(run)
        others = [other for other in ablation.runs if other != run]
        if (others[0].fold_folder / "checkpoint_final.pth").exists():
            finish_stages(ablation, run, chosen_on=others)
            return DONE
        finish_stages(ablation, run)
        return "waiting"

    jobs = Jobs(work)
    assert {state.kind for state in run(ablation, jobs)} == {DONE}
    assert jobs.submitted == [run.key for run in [*ablation.runs, ablation.runs[0]]]
