"""What summary.json holds: every number over cases, by label and by size, as frozen records in the file's order."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from nnunetv2_sizepenalty.evaluation.nan_json import Number
from nnunetv2_sizepenalty.evaluation.share_check import ShareSummary
from nnunetv2_sizepenalty.evaluation.sized import SizedRecord, size_field
from nnunetv2_sizepenalty.evaluation.strata import ALL
from nnunetv2_sizepenalty.lesions import SizeBins


@dataclass(frozen=True)
class Estimate:
    """One number with its 95 % interval; `interval` is "BCa", "percentile" or "none" (a single case, or undefined)."""

    value: Number
    low: Number
    high: Number
    interval: str


@dataclass(frozen=True)
class Aggregate:
    """One metric over cases. `n` cases have a value; `undefined` do not, `reasons` says why ("empty reference": 3).

    The interval is that of the mean, cases being resampled.
    """

    n: int
    undefined: int
    reasons: dict[str, int]
    mean: Number
    median: Number
    sd: Number
    low: Number
    high: Number
    interval: str


@dataclass(frozen=True)
class CaseStratum:
    """Cases taken together: `name` is "all", "none" (lesion-free), "< 1 mL", "1-5 mL", "< 5 mL" or ">= 5 mL".

    `metrics` holds every column of cases.csv that is a metric. `pooled` holds pooled_dice, volume_weighted_dice,
    lin_ccc (V_p against V_g), lesion_sensitivity, lesion_precision, false_positives_per_case,
    false_positive_ml_per_case (or _px), specificity (share of the lesion-free cases whose prediction is empty; NaN
    where none is lesion-free). An empty stratum has cases = 0 and NaN everywhere: draw a dash.
    """

    name: str
    cases: int
    metrics: dict[str, Aggregate]
    pooled: dict[str, Estimate]


@dataclass(frozen=True)
class LesionStratum(SizedRecord):
    """Lesions of one size, of all cases together. Names as in CaseStratum, without "none".

    Missed, tp and fn count reference lesions of this size, false_positives and fp predicted lesions of this size.
    `estimates` holds detection_rate, dice and rve (mean over the reference lesions), lesion_f1, pq, sq, rq,
    sq_matched, false_positives_per_case.
    """

    name: str
    lesions: int
    missed: int
    false_positives: int
    false_positive_size: float = size_field("false_positive")
    tp: int
    fp: int
    fn: int
    estimates: dict[str, Estimate]


Stratum = TypeVar("Stratum", CaseStratum, LesionStratum)


def _named(strata: Sequence[Stratum], name: str) -> Stratum:
    by_name = {stratum.name: stratum for stratum in strata}
    if name not in by_name:
        raise KeyError(f"no stratum {name!r}; there are {', '.join(by_name)}")
    return by_name[name]


@dataclass(frozen=True)
class Tables:
    """Both stratifications: cases by their reference volume, lesions by their own."""

    case_strata: tuple[CaseStratum, ...]
    lesion_strata: tuple[LesionStratum, ...]

    def case_stratum(self, name: str = ALL) -> CaseStratum:
        """Returns the cases of that size; KeyError where there is no such stratum."""
        return _named(self.case_strata, name)

    def lesion_stratum(self, name: str = ALL) -> LesionStratum:
        """Returns the lesions of that size; KeyError where there is no such stratum."""
        return _named(self.lesion_strata, name)


@dataclass(frozen=True)
class GroupTables:
    """One column of the --groups CSV: the tables per value, and the mean over the values' means of each metric.

    With a column of folds, `mean_of_means` is the mean of the fold means. A value of one case is not summed up: it
    stands in `single_cases` (value -> case) and enters no mean. Below two groups of several cases there is no mean.
    """

    tables: dict[str, Tables]
    mean_of_means: dict[str, Number]
    single_cases: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LabelSummary:
    """One label or region: its values in the masks (none is "everything above 0"), its tables, and those per group.

    `share` is None where 0.1.0 wrote the file.
    """

    values: tuple[int, ...]
    tables: Tables
    groups: dict[str, GroupTables]
    share: ShareSummary | None = None


@dataclass(frozen=True)
class Summary(SizedRecord):
    """The content of summary.json.

    Attributes:
        version: of the package that wrote it.
        reference_folder, prediction_folder: as they were named.
        protocol: the rules' name; `description` says them in one line, `settings` are `Protocol`'s fields.
        edges: of the size strata, in `unit`.
        cases: how many.
        missing: cases without a prediction, scored as empty (--allow-missing).
        without_reference: predictions that were passed over.
        groups: column -> case -> value.
        ignore: the value that takes voxels of the reference out of the evaluation; empty where there is none.
        labels: in the order of the label column.
    """

    version: str
    reference_folder: str
    prediction_folder: str
    protocol: str
    description: str
    settings: dict[str, Any]
    edges: tuple[float, ...] = size_field("bins")
    cases: int
    missing: tuple[str, ...]
    without_reference: tuple[str, ...]
    groups: dict[str, dict[str, str]]
    ignore: tuple[int, ...]
    labels: dict[str, LabelSummary]

    @property
    def bins(self) -> SizeBins:
        """The size bins of the strata."""
        return SizeBins(self.edges, self.unit)
