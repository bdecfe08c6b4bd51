"""The choice: best, ties, edges, what is eligible, cross-fitting."""

import numpy as np
import pytest

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.operating_point.choose import choose, cross_fit
from nnunetv2_sizepenalty.operating_point.count_case import CaseCounts
from nnunetv2_sizepenalty.operating_point.grid import Cut, ThresholdGrid
from nnunetv2_sizepenalty.operating_point.objective import Objective
from nnunetv2_sizepenalty.operating_point.scores import Scores

GRID = ThresholdGrid((0.3, 0.5, 0.7), (5, 10))


def scores_of(values, name="dice", false_positives=None, grid=GRID) -> Scores:
    values = np.asarray(values, float)
    zeros = np.zeros(values.shape) if false_positives is None else np.asarray(false_positives, float)
    return Scores(grid, {name: values, "false_positives_per_case": zeros}, {}, 1)


@pytest.mark.parametrize(
    ("values", "cut", "edge"),
    [
        ([[1, 2, 3], [1, 9, 3], [1, 2, 3]], Cut(0.5, 5), ()),
        ([[1, 9, 3], [1, 2, 3], [1, 2, 3]], Cut(0.3, 5), ("lowest threshold",)),
        ([[1, 2, 3], [1, 2, 3], [1, 9, 3]], Cut(0.7, 5), ("highest threshold",)),
        ([[1, 2, 3], [1, 2, 9], [1, 2, 3]], Cut(0.5, 10), ("largest size",)),
        ([[1, 2, 3], [9, 2, 3], [1, 2, 3]], Cut(0.5, 0), ()),
        ([[1, 1, 1], [1, 1, 1], [1, 1, 1]], Cut(0.5, 0), ()),
        ([[2, 2, 2], [1, 1, 1], [2, 2, 2]], Cut(0.3, 0), ("lowest threshold",)),
        ([[1, 1, 1], [1, 2, 2 + 1e-14], [1, 1, 1]], Cut(0.5, 5), ()),
        ([[np.nan] * 3, [np.nan] * 3, [1, 1, 2]], Cut(0.7, 10), ("highest threshold", "largest size")),
    ],
    ids=[
        "inside",
        "lowest",
        "highest",
        "largest",
        "none is no edge",
        "all tied",
        "tied at equal distance from 0.5",
        "rounding is a tie",
        "undefined",
    ],
)
def test_the_best_is_chosen_and_a_tie_goes_to_nnunets_own(values, cut, edge):
    choice = choose(scores_of(values), Objective())
    assert choice.cut == cut
    assert choice.edge == edge
    assert choice.all_tied == (len(np.unique(values)) == 1)


def test_a_single_threshold_is_not_searched_and_has_no_edge():
    choice = choose(scores_of([[9, 9], [1, 2]], grid=ThresholdGrid((0.9,), (5,))), Objective())
    assert choice.cut == Cut(0.9, 5)
    assert choice.edge == ()
    assert not choice.all_tied


def test_relative_volume_error_is_minimised():
    values = [[3, 3, 3], [3, 3, 1], [3, 3, 3]]
    assert choose(scores_of(values, "rve"), Objective.parse("rve")).cut == Cut(0.5, 10)


def test_sensitivity_is_bought_with_no_more_false_positives_than_allowed():
    values, false_positives = [[0.9, 0.9, 0.8], [0.8, 0.7, 0.7], [0.5, 0.5, 0.5]], [[9, 4, 3], [3, 2, 2], [1, 1, 0]]
    scores = scores_of(values, "sensitivity", false_positives)
    assert choose(scores, Objective.parse("sensitivity@3")).cut == Cut(0.5, 0)
    assert choose(scores, Objective.parse("sensitivity@2")).cut == Cut(0.5, 5)
    with pytest.raises(UserError, match=r"the fewest: 1\)"):
        choose(scores_of(values, "sensitivity", np.add(false_positives, 1)), Objective.parse("sensitivity@0.5"))


@pytest.mark.parametrize(
    "text",
    ["iou", "sensitivity", "sensitivity@x", "dice@-1", "dice@nan", "dice@inf", "dice@", "dice:2", "size_penalty:0", ""],
)
def test_unknown_objectives_are_refused(text):
    with pytest.raises(UserError, match="sensitivity@2"):
        Objective.parse(text)


def case_with_best(threshold: float) -> CaseCounts:
    """Ten lesion voxels, all found at `threshold`, half of them elsewhere."""
    grid = ThresholdGrid((0.3, 0.7), (0,))
    found = np.array([[10 if t == threshold else 5] for t in grid.counted_thresholds])
    one, none = np.ones_like(found), np.zeros_like(found)
    return CaseCounts(found, found, one, none, one, one, one, np.asarray(10), np.asarray(1))


def test_cross_fitting_never_sees_its_own_fold():
    folds = {"0": {"a": case_with_best(0.3)}, "1": {"b": case_with_best(0.7)}, "2": {"c": case_with_best(0.7)}}
    fitted = cross_fit(folds, ThresholdGrid((0.3, 0.7), (0,)), Objective())
    assert fitted["0"].chosen == Cut(0.7, 0.0)
    assert fitted["0"].cross_fitted == pytest.approx(2 / 3)
    assert fitted["0"].optimistic == 1
    # fold 1 sees one case for 0.3 and one for 0.7: a tie, at equal distance from 0.5, goes to the lower
    assert fitted["1"].chosen == Cut(0.3, 0.0)
    assert fitted["mean"].optimistic == 1
    assert fitted["mean"].cross_fitted == pytest.approx(2 / 3)
    assert fitted["mean"].at_half == fitted["mean"].nnunet == pytest.approx(2 / 3)


def test_cross_fitting_leaves_out_cases_that_a_fold_shares_with_others():
    shared = {"a": case_with_best(0.3)}
    with pytest.raises(UserError, match="folds that differ"):
        cross_fit({"0": shared, "all": shared}, ThresholdGrid((0.3, 0.7), (0,)), Objective())
    with pytest.raises(UserError, match="several folds"):
        cross_fit({"0": shared}, ThresholdGrid((0.3, 0.7), (0,)), Objective())
