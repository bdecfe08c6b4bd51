"""Which cases are scans of one patient: they are flipped and resampled together, and the patients are counted."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation.folder import read_groups
from nnunetv2_sizepenalty.evaluation.statistics import bootstrap
from nnunetv2_sizepenalty.evaluation.summary import Estimate
from nnunetv2_sizepenalty.splitting.splits import default_groups

PATIENT = "patient"


@dataclass(frozen=True)
class PatientBlocks:
    """The patient of each case.

    Attributes:
        of_case: the patient's number, int (cases,), 0 to count - 1.
        count: how many patients there are, those without a case here among them.
    """

    of_case: np.ndarray
    count: int

    @classmethod
    def from_names(cls, names: Sequence[Hashable]) -> "PatientBlocks":
        """Numbers the patients of cases, whose names or keys are given in the order of the cases."""
        numbers: dict[Hashable, int] = {}
        of_case = np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=int)
        return cls(of_case, len(numbers))

    def __len__(self) -> int:
        return self.count

    def at(self, chosen: np.ndarray) -> "PatientBlocks":
        """The patients of some of the cases, bool (cases,), with their numbers."""
        return PatientBlocks(self.of_case[chosen], self.count)

    @property
    def present(self) -> np.ndarray:
        """Which patients have a case here, bool (patients,)."""
        return np.bincount(self.of_case, minlength=self.count) > 0

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sums values (cases, ...) over each patient's cases, (patients, ...); NaN counts as 0."""
        sums = np.zeros((len(self), *values.shape[1:]))
        np.add.at(sums, self.of_case, np.nan_to_num(values))
        return sums

    def mean(self, values: np.ndarray) -> Estimate:
        """Estimates the mean over the cases that have a value, (cases,); its interval resamples patients."""
        values = np.asarray(values, dtype=float)
        known = values[~np.isnan(values)]
        # constant values become exactly 0 and stay so under every resampling
        start = known[0] if len(known) else 0.0
        rows = self.sums(np.stack([values - start, ~np.isnan(values)], axis=1)).T
        bounds = (known.min(), known.max()) if len(known) else (-np.inf, np.inf)
        return bootstrap(rows[:, rows[1] > 0], lambda sums, _: sums[:1] / sums[1:] + start, bounds)[0]


def find_patients(cases: Sequence[str], table: Path | None = None, column: str | None = None) -> dict[str, str]:
    """Finds the patient of each case.

    Args:
        cases: their names.
        table: a CSV with a column `case`; without one names tell, `sub-...` of BIDS, else each case is a patient.
        column: of the CSV, `patient` where none is named.

    Raises:
        UserError: the CSV can't be read, lacks the column or a case, or a case has no patient.
    """
    if table is None:
        if column is not None:
            raise UserError(f"--patient {column}: a column of which table? Give --cases CSV too")
        return default_groups(cases)
    groups = read_groups(table, list(cases))
    column = column or PATIENT
    if column not in groups:
        raise UserError(f"{table}: has no column {column}; --patient names one of {', '.join(groups)}")
    if nobody := [case for case, patient in groups[column].items() if not patient.strip()]:
        raise UserError(f"{table}: column {column} is empty for case {nobody[0]}")
    return groups[column]
