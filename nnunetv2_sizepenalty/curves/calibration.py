"""How well probabilities say what they mean, in counts that add up over cases. No threshold is chosen here."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from scipy.ndimage import distance_transform_edt
from sklearn.metrics import average_precision_score

from nnunetv2_sizepenalty.evaluation.formulas import Ratio
from nnunetv2_sizepenalty.evaluation.nan_json import Number
from nnunetv2_sizepenalty.evaluation.sized import SizedRecord, size_field
from nnunetv2_sizepenalty.lesions import ML, PX, SizeBins, SizeUnit, size_unit, voxels_to_ml
from nnunetv2_sizepenalty.lesions.boxes import bounding_box, grow_box
from nnunetv2_sizepenalty.lesions.sizes import MM3_PER_ML

NEIGHBOURHOOD_MM = 10.0
RELIABILITY_BINS = 20
# Steps of the pooled precision-recall curve, 60 a unit of the logit; float32 probabilities below 1 end at 17.
_CURVE_END, _CURVE_STEPS = 17.0, 2040


@dataclass(frozen=True)
class CalibrationCounts:
    """One case and class. Curves are per bin of the probability, volumes in voxels.

    Attributes:
        near_voxels, near_probability, near_positives: voxels in the lesions' neighbourhood, the sum of their
            probabilities and how many of them are lesion, each (RELIABILITY_BINS,).
        positives, negatives: lesion and other voxels of the whole image, per step of the logit.
        soft, hard, reference: sum of the probabilities, voxels above 0.5, voxels of the reference.
        voxel_ml: volume of a voxel, a pixel without a spacing being 1 mm^3 (`voxel_size`).
        average_precision: of the case's voxels, NaN without a lesion.
        unit: key of what sizes are given in.
    """

    near_voxels: np.ndarray
    near_probability: np.ndarray
    near_positives: np.ndarray
    positives: np.ndarray
    negatives: np.ndarray
    soft: float
    hard: float
    reference: float
    voxel_ml: float
    average_precision: float
    unit: str = ML.key  # absent in counts that 0.1.0 stored

    def as_arrays(self) -> dict[str, np.ndarray]:
        """Returns the fields as arrays, to be stored; `CalibrationCounts(**arrays)` takes them back."""
        return {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}

    def voxel_size(self, unit: SizeUnit) -> float:
        """Returns what a voxel measures in `unit`."""
        return self.voxel_ml * MM3_PER_ML if unit == PX else self.voxel_ml


def step_logits() -> np.ndarray:
    """Returns the lowest logit of each step of `positives` and `negatives`; the first holds all below the second."""
    return np.linspace(-_CURVE_END, _CURVE_END, _CURVE_STEPS)


@dataclass(frozen=True)
class Reliability:
    """Per bin of the probability that holds voxels: mean probability, share of lesion voxels, number of voxels."""

    probability: tuple[float, ...]
    observed: tuple[float, ...]
    voxels: tuple[int, ...]


@dataclass(frozen=True)
class VolumeRatio(SizedRecord):
    """The cases of one size together: sum of the probabilities (soft), volume above 0.5 (hard) and reference."""

    size: str
    cases: int
    soft: float = size_field("soft")
    hard: float = size_field("hard")
    reference: float = size_field("reference")
    soft_to_hard: Number
    soft_to_reference: Number


@dataclass(frozen=True)
class Calibration:
    """How well one class's probabilities say what they mean, over cases; no threshold touches it.

    Attributes:
        neighbourhood_mm: distance from the lesions within which `reliability` and the error were counted.
        average_precision: of the voxels, mean over those `n_average_precision` cases that hold a lesion.
        pooled_average_precision: of all cases' voxels in one.
    """

    neighbourhood_mm: float
    expected_calibration_error: Number
    reliability: Reliability
    volume_ratios: tuple[VolumeRatio, ...]
    average_precision: Number
    n_average_precision: int
    pooled_average_precision: Number


def summarise_calibration(cases: Sequence[CalibrationCounts], bins: SizeBins | None = None) -> Calibration:
    """Brings the counts of cases together; `bins` are those of `volume_ratios`."""
    reliability = reliability_curve(cases)
    average_precision, n = mean_average_precision(cases)
    return Calibration(
        neighbourhood_mm=NEIGHBOURHOOD_MM,
        expected_calibration_error=expected_calibration_error(reliability),
        reliability=reliability,
        volume_ratios=volume_ratios(cases, bins),
        average_precision=average_precision,
        n_average_precision=n,
        pooled_average_precision=pooled_average_precision(cases),
    )


def lesion_neighbourhood(
    reference: np.ndarray, spacing_mm: Sequence[float], distance_mm: float = NEIGHBOURHOOD_MM
) -> np.ndarray:
    """Finds where the nearest voxel of the reference is at most `distance_mm` away, the reference included."""
    near = np.zeros(reference.shape, dtype=bool)
    if not reference.any():
        return near
    margin = [int(distance_mm / step) for step in spacing_mm]
    box = grow_box(bounding_box(reference), margin, reference.shape)
    near[box] = distance_transform_edt(~reference[box], sampling=spacing_mm) <= distance_mm
    return near


def count_calibration(
    probability: np.ndarray, reference: np.ndarray, spacing_mm: Sequence[float], valid: np.ndarray | None = None
) -> CalibrationCounts:
    """Counts one case.

    Args:
        probability: of the class, between 0 and 1, (z, y, x).
        reference: boolean, the same shape.
        spacing_mm: (z, y, x).
        valid: where the reference is known; everywhere when None.
    """
    near = lesion_neighbourhood(reference, spacing_mm)
    if valid is not None:
        near &= valid
    p_near, y_near = probability[near].astype(np.float64), reference[near]
    near_bin = np.minimum((p_near * RELIABILITY_BINS).astype(int), RELIABILITY_BINS - 1)

    p, y = (probability.ravel(), reference.ravel()) if valid is None else (probability[valid], reference[valid])
    with np.errstate(divide="ignore"):
        share = (np.log(p) - np.log1p(-p) + _CURVE_END) / (2 * _CURVE_END)
    step = (np.clip(share, 0, 1) * (_CURVE_STEPS - 1)).astype(np.int32)
    every, positives = (np.bincount(steps, minlength=_CURVE_STEPS) for steps in (step, step[y]))
    return CalibrationCounts(
        near_voxels=np.bincount(near_bin, minlength=RELIABILITY_BINS),
        near_probability=np.bincount(near_bin, weights=p_near, minlength=RELIABILITY_BINS),
        near_positives=np.bincount(near_bin[y_near], minlength=RELIABILITY_BINS),
        positives=positives,
        negatives=every - positives,
        soft=float(p.sum(dtype=np.float64)),
        hard=float(np.count_nonzero(p > np.float32(0.5))),
        reference=float(np.count_nonzero(y)),
        voxel_ml=voxels_to_ml(1, spacing_mm),
        average_precision=float(average_precision_score(y, p)) if y.any() else np.nan,
        unit=size_unit(spacing_mm).key,
    )


def reliability_curve(cases: Sequence[CalibrationCounts]) -> Reliability:
    """Computes the reliability of all cases together."""
    voxels = sum(case.near_voxels for case in cases)
    used = voxels > 0
    probability = sum(case.near_probability for case in cases)[used] / voxels[used]
    observed = sum(case.near_positives for case in cases)[used] / voxels[used]
    return Reliability(*(tuple(column.tolist()) for column in (probability, observed, voxels[used])))


def expected_calibration_error(reliability: Reliability) -> float:
    """Computes the mean over voxels of abs(probability - observed) per bin (Guo et al. 2017); NaN without voxels."""
    if not sum(reliability.voxels):
        return float("nan")
    gap = np.abs(np.subtract(reliability.probability, reliability.observed))
    return float(np.average(gap, weights=reliability.voxels))


def mean_average_precision(cases: Sequence[CalibrationCounts]) -> tuple[float, int]:
    """Computes the mean of the cases' voxel-wise average precision, and over how many: those with a lesion."""
    values = np.array([case.average_precision for case in cases], dtype=float)
    defined = values[np.isfinite(values)]
    return (float(defined.mean()) if len(defined) else float("nan")), len(defined)


def pooled_average_precision(cases: Sequence[CalibrationCounts]) -> float:
    """Computes the average precision of all cases' voxels in one, on 2,040 steps of the logit; NaN without a lesion."""
    positives, negatives = (sum(getattr(c, name) for c in cases)[::-1] for name in ("positives", "negatives"))
    if not positives.sum():
        return float("nan")
    predicted = np.cumsum(positives + negatives)
    precision = np.cumsum(positives) / np.maximum(predicted, 1)
    return float(np.sum(positives * precision) / positives.sum())


def volume_ratios(cases: Sequence[CalibrationCounts], bins: SizeBins | None = None) -> tuple[VolumeRatio, ...]:
    """Computes soft volume over hard and over reference volume, summed over the cases of each size; NaN for 0 / 0.

    The size is the case's reference volume; lesion-free cases ("none") have a row of their own.
    """
    unit = PX if any(str(case.unit) == PX.key for case in cases) else ML
    bins = bins or SizeBins(unit.edges, unit)
    names = ("none", *bins.names)
    of_case = [1 + int(bins.index(c.reference * c.voxel_size(unit))) if c.reference else 0 for c in cases]
    rows = []
    for index, name in enumerate(names):
        chosen = [case for case, row in zip(cases, of_case, strict=True) if row == index]
        soft, hard, reference = (
            sum(getattr(c, k) * c.voxel_size(unit) for c in chosen) for k in ("soft", "hard", "reference")
        )
        rows.append(
            VolumeRatio(
                size=name,
                cases=len(chosen),
                soft=soft,
                hard=hard,
                reference=reference,
                soft_to_hard=Ratio(soft, hard).value,
                soft_to_reference=Ratio(soft, reference).value,
                unit=unit,
            )
        )
    return tuple(rows)
