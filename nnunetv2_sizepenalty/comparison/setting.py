"""What all tables of one label share: its cases, their patients, their sizes, and the figures that are compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.comparison.patients import PatientBlocks
from nnunetv2_sizepenalty.comparison.pooled import POOLED
from nnunetv2_sizepenalty.evaluation.strata import in_stratum
from nnunetv2_sizepenalty.lesions import SizeBins, SizeUnit

# The thesis's columns in its order; SQ over the matched pairs alone stands beside SQ.
THESIS_METRICS = (
    "dice", "false_positives", "missed", "detection_rate", "rve", "pq", "sq", "sq_matched", "rq", "assd",
)  # fmt: skip


def compared_metrics(unit: SizeUnit, metrics: Sequence[str] = THESIS_METRICS) -> tuple[str, ...]:
    """The figures of a table: the thesis's, two that it lacks, and those of all cases together."""
    return (*metrics, "lesion_f1", unit.column("absolute_volume_error"), *POOLED)


@dataclass(frozen=True)
class Setting:
    """One label of a comparison.

    Attributes:
        label: of the rows.
        bins: of the strata.
        patients: case -> patient; a case that is not in it is a patient of its own.
        shared_seeds: the i-th repeats of all models were trained on the same batches.
        primary: the metric that was named before looking.
    """

    label: str
    bins: SizeBins
    patients: Mapping[str, str] = field(default_factory=dict)
    shared_seeds: bool = False
    primary: str | None = None

    def blocks(self, cases: pd.DataFrame) -> PatientBlocks:
        """The patients of these rows."""
        return PatientBlocks.from_names([self.patients.get(case, case) for case in cases["case"]])

    def empty(self, cases: pd.DataFrame) -> np.ndarray:
        """Which rows have an empty reference."""
        return cases[self.bins.unit.column("reference")].to_numpy() == 0

    def chosen(self, cases: pd.DataFrame, stratum: str) -> np.ndarray:
        """Which rows are of a stratum of the case's reference volume."""
        return in_stratum(stratum, cases[self.bins.unit.column("reference")], self.bins)
