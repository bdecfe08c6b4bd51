"""Objectives: limits on false positives, the size penalty after training, thresholds within one standard error."""

from dataclasses import replace

import numpy as np
import pytest

from nnunetv2_sizepenalty.operating_point.choose import choose
from nnunetv2_sizepenalty.operating_point.count_case import count_case
from nnunetv2_sizepenalty.operating_point.grid import Cut, ThresholdGrid
from nnunetv2_sizepenalty.operating_point.objective import TAU_ML, Objective
from nnunetv2_sizepenalty.operating_point.plateau import plateau
from nnunetv2_sizepenalty.operating_point.scores import PER_CASE, POOLED, Scores, case_scores

GRID = ThresholdGrid((0.1, 0.3, 0.5, 0.7, 0.9), (0, 5))
SPACING_MM = (6.0, 2.0, 2.0)


@pytest.fixture(scope="module")
def counted(phantom_predictions):
    return [count_case(probability, mask, GRID, SPACING_MM) for mask, probability in phantom_predictions.values()]


@pytest.mark.parametrize(
    "text", ["dice", "dice@2", "lesion_f1@0.5", "pq", "sensitivity@2", "size_penalty", "size_penalty:1.5", "rve@3"]
)
def test_an_objective_is_written_as_it_is_read(text):
    assert str(Objective.parse(text)) == text
    assert Objective.parse(text).counts_lesions == ("@" in text)


@pytest.mark.parametrize("score", ["dice", "lesion_f1", "pooled_dice", "size_penalty"])
@pytest.mark.parametrize("most", [0.5, 2, 4])
def test_the_best_at_no_more_than_n_false_positives(counted, score, most):
    scores = Scores.of(counted, GRID)
    objective = Objective.parse(f"{score}@{most}")
    allowed = scores.values["false_positives_per_case"] <= most
    assert allowed.any()
    assert not allowed.all()
    values = objective.sign * scores.values[score]
    choice = choose(scores, objective)
    assert objective.sign * choice.score == pytest.approx(values[allowed].max(), abs=1e-12)
    assert scores.at(choice.cut)["false_positives_per_case"] <= most


@pytest.mark.parametrize("tau_ml", [TAU_ML, 0.5])
def test_the_size_penalty_is_the_theses_term_of_cut_masks(phantom_predictions, counted, tau_ml):
    found = Scores.of(counted, GRID, tau_ml)
    voxel_ml = 6 * 2 * 2 / 1000
    for row, threshold in enumerate(GRID.counted_thresholds):
        terms = []
        for mask, probability in phantom_predictions.values():
            if mask.any():
                v_g, v_t = mask.sum(), (probability > threshold).sum()
                terms.append(np.exp(-v_g * voxel_ml / tau_ml) * min(10, abs(v_t - v_g) / v_g))
        assert found.values["size_penalty"][row, 0] == pytest.approx(np.mean(terms), rel=1e-12)
        assert found.defined["size_penalty"][row, 0] == len(terms) == 19
    best = choose(found, Objective("size_penalty", tau_ml=tau_ml))
    assert best.score == found.values["size_penalty"].min()


def test_the_size_penalty_is_capped():
    mask = np.zeros((4, 8, 8), bool)
    mask[1, 1, 1] = True
    scores = case_scores(count_case(np.full(mask.shape, 0.9, np.float32), mask, GRID, (1, 1, 1)))
    assert scores["size_penalty"][0, 0] == pytest.approx(10 * np.exp(-0.001 / 4.8))


def test_one_standard_error_of_a_mean_is_that_of_the_paired_differences(counted):
    cases = [case for case in counted if case.n_reference]
    scores, objective = Scores.of(cases, GRID), Objective()
    choice = choose(scores, objective)
    row, column = GRID.position(choice.cut)
    dice = np.stack([case_scores(case)["dice"][:, column] for case in cases])
    difference = dice[:, [row]] - dice
    error = difference.std(axis=0, ddof=1) / np.sqrt(len(cases))
    near = difference.mean(axis=0) <= error + 1e-12
    low, high = choice.within_one_se
    first, last = GRID.counted_thresholds.index(low), GRID.counted_thresholds.index(high)
    assert near[first : last + 1].all()
    assert first == 0 or not near[first - 1]
    assert last + 1 == len(near) or not near[last + 1]
    assert not near.all()  # else nothing is tested


@pytest.mark.parametrize("score", [*PER_CASE, "pooled_dice", "sensitivity@3"])
def test_the_run_holds_the_choice_and_eligible_thresholds_alone(counted, score):
    objective, scores = Objective.parse(score), Scores.of(counted, GRID)
    choice = choose(scores, objective)
    low, high = choice.within_one_se
    assert low <= choice.threshold <= high
    eligible = np.isfinite(scores.eligible(objective)[:, GRID.position(choice.cut)[1]])
    inside = [low <= t <= high for t in GRID.counted_thresholds]
    assert eligible[inside].all()


def test_one_case_has_no_error_and_ties_alone(counted):
    scores = next(s for case in counted for s in [Scores.of([case], GRID)] if len(np.unique(s.values["dice"])) == 10)
    best = choose(scores, Objective())
    assert best.within_one_se == (best.threshold, best.threshold)
    flat = [replace(counted[0], true_positive=0 * counted[0].true_positive)]
    assert plateau(Scores.of(flat, GRID), Cut(0.5, 0), Objective()) == (0.1, 0.9)


def test_scores_of_some_cases_are_ratios_of_sums(counted):
    """What the leave-one-out values of the standard error rest on."""
    for left_out in (0, 7, 19):
        rest = Scores.of([case for number, case in enumerate(counted) if number != left_out], GRID)
        every = Scores.of(counted, GRID)
        for name in (*PER_CASE, *POOLED):
            top, bottom = every.fractions[name]
            top, bottom = (part.sum(axis=0) - part[left_out] for part in (top, bottom))
            expected = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom != 0)
            assert rest.values[name] == pytest.approx(expected, rel=1e-12, nan_ok=True)
