"""Counts of all validation cases, each stored as soon as it is there, so that an interrupted run goes on."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from nnunetv2_sizepenalty.curves.calibration import count_calibration
from nnunetv2_sizepenalty.nnunet_io.probabilities import mean_probabilities
from nnunetv2_sizepenalty.nnunet_io.spacing import spacing_of
from nnunetv2_sizepenalty.operating_point.count_case import count_case
from nnunetv2_sizepenalty.operating_point.predict_cases import predict_cases
from nnunetv2_sizepenalty.operating_point.validation_case import ClassCounts, ValidationCase
from nnunetv2_sizepenalty.parallel import map_cases

Thresholds = Mapping[str, Sequence[float]]


def count_cases(
    cases: Sequence[ValidationCase], thresholds: Thresholds, processes: int
) -> dict[str, dict[str, dict[str, ClassCounts]]]:
    """Counts what isn't stored yet, predicting it first where it is to be: at some thresholds per class, without any
    the calibration alone.

    Returns:
        class -> fold -> case -> counts.

    Raises:
        UserError: a file of a case is unusable; what was counted before stays stored.
    """
    # Read once: another search of the same model may store other thresholds meanwhile.
    stored = [_stored(case, thresholds) for case in cases]
    todo = [case for case, counts in zip(cases, stored, strict=True) if counts is None]
    if thresholds and len(todo) < len(cases):
        print(f"{len(cases) - len(todo)} of {len(cases)} cases are counted already")
    if todo and todo[0].prediction:
        # Thresholds that follow the data need all cases' probabilities before the first is counted.
        at_once = not todo[0].grid.follows_data and len(todo[0].models) == 1
        predict_cases(todo, processes, partial(count, thresholds) if at_once else None)
        stored = [counts or _stored(case, thresholds) for case, counts in zip(cases, stored, strict=True)]
        todo = [case for case, counts in zip(cases, stored, strict=True) if counts is None]
    counted = map_cases(partial(count, thresholds), todo, processes=processes, description="counting") if todo else []
    counted = iter(counted)
    found: dict[str, dict[str, dict[str, ClassCounts]]] = {}
    for case, of_case in zip(cases, stored, strict=True):
        for name, counts in (of_case or next(counted)).items():
            found.setdefault(name, {}).setdefault(case.fold, {})[case.name] = counts
    return found


def _stored(case: ValidationCase, thresholds: Thresholds) -> dict[str, ClassCounts] | None:
    """The stored counts, None where some are lacking."""
    stored = case.load()
    complete = stored and not any(stored[name].lacking(wanted) for name, wanted in thresholds.items())
    return stored if complete else None


def count(thresholds: Thresholds, case: ValidationCase) -> dict[str, ClassCounts]:
    """Counts one case and stores it together with what was counted before; returns all of it."""
    segmentation, properties = case.models[0].reader().read_seg(str(case.reference))
    segmentation, labels = segmentation[0], case.models[0].labels
    predicted = mean_probabilities(case.probabilities, (labels.n_channels, *segmentation.shape))
    valid = None if labels.ignore is None else segmentation != labels.ignore
    spacing = spacing_of(properties)
    counts = case.load() or {}
    for label in case.labels:
        probability, reference = predicted[label.channel], label.mask(segmentation)

        def at(wanted: Sequence[float], of=(probability, reference)):
            return count_case(*of, case.grid, spacing, valid, detection=case.detection, thresholds=wanted)

        if label.name not in counts:
            calibration = count_calibration(probability, reference, spacing, valid)
            counts[label.name] = ClassCounts(np.zeros(0), at(()), calibration)
        if missing := counts[label.name].lacking(thresholds.get(label.name, ())):
            counts[label.name] = counts[label.name].with_rows(missing, at(missing))
    case.save(counts)
    return counts
