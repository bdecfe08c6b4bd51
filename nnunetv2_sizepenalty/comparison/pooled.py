"""Figures of all cases together, which have no value in a single case: models are compared by swapping cases."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.comparison.patients import PatientBlocks
from nnunetv2_sizepenalty.evaluation import formulas
from nnunetv2_sizepenalty.evaluation.metrics import METRICS, Metric, unit_of
from nnunetv2_sizepenalty.evaluation.statistics import bootstrap, concordance
from nnunetv2_sizepenalty.evaluation.summary import Estimate


@dataclass(frozen=True)
class PooledFigure:
    """A figure that is made of sums over cases.

    Attributes:
        about: its column, title, definition and direction.
        parts: what each case adds to the sums, of rows of cases.csv (cases,) to (cases, sums).
        value: sums (..., sums) to the figure (...); NaN where it is undefined.
        bounds: what the figure can't be below and above.
    """

    about: Metric
    parts: Callable[[pd.DataFrame], np.ndarray]
    value: Callable[[np.ndarray], np.ndarray]
    bounds: tuple[float, float] = (0.0, 1.0)

    def estimate(self, repeats: Sequence[pd.DataFrame], blocks: PatientBlocks) -> Estimate:
        """The figure of one model with its interval, patients being resampled; a table of cases a repeat."""
        sums = blocks.sums(np.mean([self.parts(repeat) for repeat in repeats], axis=0))[blocks.present].T
        return bootstrap(sums, lambda drawn, _: self.value(np.moveaxis(drawn, 0, -1))[None], self.bounds)[0]


def quotient(sums: np.ndarray) -> np.ndarray:
    """Divides the first of two sums by the second, NaN where that is 0; (..., 2) to (...)."""
    return np.asarray(formulas.Ratio(sums[..., 0], sums[..., 1]).value)


def _volumes(cases: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    unit = unit_of(cases)
    reference, prediction = (cases[unit.column(of)].to_numpy(float) for of in ("reference", "prediction"))
    return reference, prediction


def _pooled_dice(cases: pd.DataFrame) -> np.ndarray:
    reference, prediction = _volumes(cases)
    return np.stack(formulas.pooled_dice(cases["dice"].to_numpy(float), prediction, reference), axis=1)


def _volume_weighted_dice(cases: pd.DataFrame) -> np.ndarray:
    reference, _ = _volumes(cases)
    return np.stack(formulas.volume_weighted_dice(cases["dice"].to_numpy(float), reference), axis=1)


def _volume_moments(cases: pd.DataFrame) -> np.ndarray:
    x, y = _volumes(cases)
    return np.stack([np.ones(len(x)), x, y, x * x, y * y, x * y], axis=1)


def _concordance(sums: np.ndarray) -> np.ndarray:
    n = sums[..., 0]
    # below two cases there is no concordance; a half, since n is a mean over repeats
    return concordance(np.moveaxis(sums[..., 1:], -1, 0), np.where(n < 1.5, np.nan, n))[0]


def _lesions_found(cases: pd.DataFrame) -> np.ndarray:
    return np.stack([cases["n_reference"] - cases["missed"], cases["n_reference"]], axis=1)


POOLED: dict[str, PooledFigure] = {
    figure.about.name: figure
    for figure in (
        PooledFigure(
            Metric("pooled_dice", "pooled Dice", "2 TP / (V_p + V_g) of the sums over cases", +1),
            _pooled_dice,
            quotient,
        ),
        PooledFigure(
            Metric("volume_weighted_dice", "volume-weighted Dice", "sum of V_g Dice / sum of V_g over cases", +1),
            _volume_weighted_dice,
            quotient,
        ),
        PooledFigure(
            Metric("lin_ccc", "Lin's concordance", "concordance correlation of V_p and V_g over cases", +1),
            _volume_moments,
            _concordance,
            (-1.0, 1.0),
        ),
        PooledFigure(
            Metric("lesion_sensitivity", "lesions found", "share of all cases' reference lesions that is detected", +1),
            _lesions_found,
            quotient,
        ),
    )
}

# What a row of a comparison can be about, by column.
ENDPOINTS: dict[str, Metric] = METRICS | {name: figure.about for name, figure in POOLED.items()}
