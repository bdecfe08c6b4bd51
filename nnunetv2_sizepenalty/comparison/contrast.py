"""One figure of a model against the baseline's, on the same cases: all that a test, an interval and a floor need."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.comparison.floor import RepeatNoise, repeat_noise
from nnunetv2_sizepenalty.comparison.patients import PatientBlocks
from nnunetv2_sizepenalty.comparison.pooled import PooledFigure, quotient
from nnunetv2_sizepenalty.comparison.sign_flip import smallest_detectable, swaps_under
from nnunetv2_sizepenalty.evaluation.statistics import bootstrap
from nnunetv2_sizepenalty.evaluation.summary import Estimate


@dataclass(frozen=True)
class Contrast:
    """A figure's difference, model minus baseline.

    Attributes:
        baseline, model: the figure of each; NaN where it is undefined.
        difference: with its interval, patients being resampled.
        first, second: what each patient adds to the sums that the figure is made of, (patients, sums).
        value: sums (..., sums) to the figure (...).
        noise: of the repeats.
        by_case: differences of the cases that have one; empty where the figure has none.
        by_patient: their sums over each patient's cases, of those patients that have such a case.
    """

    baseline: float
    model: float
    difference: Estimate
    first: np.ndarray
    second: np.ndarray
    value: Callable[[np.ndarray], np.ndarray]
    noise: RepeatNoise
    by_case: np.ndarray
    by_patient: np.ndarray

    def under(self, patterns: np.ndarray) -> np.ndarray:
        """The difference where the patients of each pattern swap their models, (patterns,)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return swaps_under(patterns, self.first, self.second, self.value)

    def detectable(self, level: float) -> float:
        """The smallest mean difference that these patients show with 80 % power; NaN without case differences."""
        if not len(self.by_case):
            return np.nan
        return smallest_detectable(self.by_patient, level) * len(self.by_patient) / len(self.by_case)


def contrast_means(
    baseline: np.ndarray, model: np.ndarray, blocks: PatientBlocks, *, shared_seeds: bool = False
) -> Contrast:
    """Compares a metric's mean over the cases that have a value in both models.

    Args:
        baseline, model: values (repeats, cases), NaN where undefined; a case's value is its mean over the repeats that
            have one.
    """
    a, b = _over_repeats(baseline), _over_repeats(model)
    difference = b - a
    kept = ~np.isnan(difference)
    count = kept.astype(float)
    first, second = (blocks.sums(np.stack([np.where(kept, v, 0), count], axis=1)) for v in (a, b))
    repeats = [[_mean(repeat[kept]) for repeat in values] for values in (baseline, model)]
    return Contrast(
        baseline=_mean(a[kept]),
        model=_mean(b[kept]),
        difference=blocks.mean(difference),
        first=first,
        second=second,
        value=quotient,
        noise=repeat_noise(*repeats, shared_seeds=shared_seeds),
        by_case=difference[kept],
        by_patient=blocks.sums(difference)[first[:, 1] > 0],
    )


def contrast_pooled(
    figure: PooledFigure,
    baseline: Sequence[pd.DataFrame],
    model: Sequence[pd.DataFrame],
    blocks: PatientBlocks,
    *,
    shared_seeds: bool = False,
) -> Contrast:
    """Compares a figure of all cases together.

    Args:
        baseline, model: rows of cases.csv of one label, a table a repeat. Repeats are taken together: their sums are
            averaged, not their masks or volumes.
    """
    parts = [[figure.parts(repeat) for repeat in repeats] for repeats in (baseline, model)]
    first, second = (blocks.sums(np.mean(of_model, axis=0)) for of_model in parts)
    columns = first.shape[1]

    def differ(sums: np.ndarray, _: int) -> np.ndarray:
        sums = np.moveaxis(sums, 0, -1)
        return np.asarray(figure.value(sums[..., columns:]) - figure.value(sums[..., :columns]))[None]

    with np.errstate(invalid="ignore", divide="ignore"):
        repeats = [[float(figure.value(of_repeat.sum(axis=0))) for of_repeat in of_model] for of_model in parts]
        values = [float(figure.value(sums.sum(axis=0))) for sums in (first, second)]
    width = figure.bounds[1] - figure.bounds[0]
    both = np.concatenate([first, second], axis=1)[blocks.present].T
    return Contrast(
        *values,
        difference=bootstrap(both, differ, (-width, width))[0],
        first=first,
        second=second,
        value=figure.value,
        noise=repeat_noise(*repeats, shared_seeds=shared_seeds),
        by_case=np.zeros(0),
        by_patient=np.zeros(0),
    )


def _mean(values: np.ndarray) -> float:
    """Mean of the values that are known, NaN without one."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else np.nan


def _over_repeats(values: np.ndarray) -> np.ndarray:
    """Mean over the repeats that have a value, (repeats, cases) to (cases,)."""
    known = ~np.isnan(values)
    return np.divide(
        np.nansum(values, axis=0), known.sum(axis=0), out=np.full(values.shape[1], np.nan), where=known.any(axis=0)
    )
