"""The choice for each class, on further thresholds while a best one lies at the end of those that follow the data."""

from collections.abc import Mapping, Sequence

from nnunetv2_sizepenalty.curves.calibration import summarise_calibration
from nnunetv2_sizepenalty.operating_point.choose import choose, cross_fit
from nnunetv2_sizepenalty.operating_point.count_cases import count_cases
from nnunetv2_sizepenalty.operating_point.grid import ThresholdGrid
from nnunetv2_sizepenalty.operating_point.logit_ladder import LogitLadder
from nnunetv2_sizepenalty.operating_point.objective import Objective
from nnunetv2_sizepenalty.operating_point.point import ENSEMBLE, ClassPoint
from nnunetv2_sizepenalty.operating_point.scores import Scores
from nnunetv2_sizepenalty.operating_point.validation_case import ClassCounts, ValidationCase

# fold -> case -> counts of one class
Counted = Mapping[str, Mapping[str, ClassCounts]]


def choose_classes(
    cases: Sequence[ValidationCase],
    grid: ThresholdGrid,
    objectives: Sequence[Objective],
    with_cross_fit: bool,
    processes: int,
) -> tuple[dict[str, ThresholdGrid], list[dict[str, ClassPoint]]]:
    """Counts and chooses, on further thresholds while a best one lies at the end of a grid that follows the data.

    Returns:
        class -> the grid that was searched, and for each objective class -> what was chosen.
    """
    labels, ladders = cases[0].labels, {}
    if grid.follows_data:
        calibrated = count_cases(cases, {}, processes)
        ladders = {
            name: LogitLadder.of([c.calibration for of_fold in counts.values() for c in of_fold.values()])
            for name, counts in calibrated.items()
        }
    while True:
        grids = {
            label.name: grid.with_thresholds(ladders[label.name].thresholds) if ladders else grid for label in labels
        }
        counted = count_cases(cases, {name: of_class.counted_thresholds for name, of_class in grids.items()}, processes)
        found = [
            {
                label.name: _choose_class(
                    label.values, counted[label.name], grids[label.name], objective, with_cross_fit
                )
                for label in labels
            }
            for objective in objectives
        ]
        wider = {name: extend(ladder, grids[name], [of[name] for of in found]) for name, ladder in ladders.items()}
        if wider == ladders:
            return grids, found
        ladders = wider


def extend(ladder: LogitLadder, grid: ThresholdGrid, chosen: Sequence[ClassPoint]) -> LogitLadder:
    """Extends the ladder where a choice on its grid lies at its lowest threshold; returns it as it is elsewhere."""
    choices = [choice for of_objective in chosen for choice in of_objective.choices.values()]
    edges = [choice.edge for choice in choices if not choice.all_tied]
    fitted = [fit for of_objective in chosen for fit in (of_objective.cross_fit or {}).values()]
    edges += [grid.edges(fit.chosen) for fit in fitted if fit.chosen]
    # with one score for all the lesions may all lie below
    nothing_yet = any(choice.all_tied for choice in choices) and not ladder.holds_all_voxels
    return ladder.extended() if nothing_yet or any("lowest threshold" in edge for edge in edges) else ladder


def _choose_class(
    values: tuple[int, ...],
    counted: Counted,
    grid: ThresholdGrid,
    objective: Objective,
    with_cross_fit: bool,
) -> ClassPoint:
    """Chooses for one class; `counted` is fold -> case -> counts."""
    counts = {fold: {case: c.on(grid) for case, c in cases.items()} for fold, cases in counted.items()}
    every = [c for cases in counted.values() for c in cases.values()]
    together = {ENSEMBLE: [c for of_fold in counts.values() for c in of_fold.values()]}
    together |= {fold: list(of_fold.values()) for fold, of_fold in counts.items()}
    scores = {name: Scores.of(of_name, grid, objective.tau_ml) for name, of_name in together.items()}
    choices = {name: choose(of_name, objective) for name, of_name in scores.items()}
    return ClassPoint(
        values=values,
        ensemble=choices.pop(ENSEMBLE),
        folds=choices,
        cross_fit=cross_fit(counts, grid, objective) if with_cross_fit else None,
        calibration=summarise_calibration([c.calibration for c in every]),
        table=[{"fold": name, **row} for name, of_name in scores.items() for row in of_name.rows()],
    )
