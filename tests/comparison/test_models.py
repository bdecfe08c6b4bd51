"""What can be set side by side, and the one line that says why something can't."""

import pytest
from made_evaluations import empty_label, make_evaluation

from nnunetv2_sizepenalty.comparison.models import read_models
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation import Evaluation, write_evaluation

CASES = ("a", "b", "c", "d")


def evaluation(cases=CASES, dice=0.5, reference_ml=2.0, **summary) -> Evaluation:
    return make_evaluation(cases, summary, dice=dice, reference_ml=reference_ml)


@pytest.fixture
def saved(tmp_path):
    """Writes evaluations into folders of their own and returns these."""

    def save(*evaluations: Evaluation) -> list:
        folders = []
        for one in evaluations:
            folders.append(tmp_path / f"out{len(list(tmp_path.iterdir()))}")
            write_evaluation(one, folders[-1])
        return folders

    return save


def test_runs_of_the_same_cases_are_repeats(saved):
    first, second = read_models({"A": saved(evaluation(dice=0.4), evaluation(dice=0.6)), "B": saved(evaluation())})
    assert (len(first.repeats), first.folds) == (2, 1)
    assert first.cases["dice"].tolist() == pytest.approx([0.5] * 4)
    assert (len(second.repeats), second.folds) == (1, 1)


def test_runs_of_disjoint_cases_are_folds(saved):
    folds = saved(evaluation(("a", "c"), dice=0.4), evaluation(("b", "d"), dice=0.6))
    first, second = read_models({"A": folds, "B": saved(evaluation())})
    assert (len(first.repeats), first.folds) == (1, 2)
    assert first.cases["case"].tolist() == second.cases["case"].tolist() == list(CASES)
    assert first.cases["dice"].tolist() == [0.4, 0.6, 0.4, 0.6]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (evaluation(("a", "b", "c", "x")), "different cases .1 only in A, 1 only in B, such as d"),
        (evaluation(settings={"min_voxels": 5, "connectivity": None}), "other rules than"),
        (evaluation(edges=(2.0,)), "other size bins than"),
        (evaluation(labels={"lesion": empty_label(2)}), "other labels than"),
        (evaluation(reference_ml=2.1), "B: a has another reference than in A"),
    ],
    ids=["cases", "rules", "bins", "labels", "reference"],
)
def test_what_can_not_be_compared_is_refused_in_one_line(saved, other, message):
    with pytest.raises(UserError, match=message) as error:
        read_models({"A": saved(evaluation()), "B": saved(other)})
    assert "\n" not in str(error.value)


def test_default_connectivity_is_the_same_rule_in_both(saved):
    assert len(read_models({"A": saved(evaluation()), "B": saved(evaluation())})) == 2


def test_partly_shared_cases_name_the_model(saved):
    with pytest.raises(UserError, match="A: two evaluations of one model share"):
        read_models({"A": saved(evaluation(("a", "b")), evaluation(("b", "c"))), "B": saved(evaluation())})


def test_one_model_is_not_a_comparison(saved):
    with pytest.raises(UserError, match="two models or more"):
        read_models({"A": saved(evaluation())})


def test_folder_of_something_else(tmp_path):
    with pytest.raises(UserError, match="not an output of"):
        read_models({"A": [tmp_path], "B": [tmp_path]})
