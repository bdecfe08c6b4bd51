"""What a data set and a plan do to small lesions, and what is wrong with the files, before a GPU is spent.

Files are read once (`raw_case`, `plan_case`, `case`, `dataset`), checks are functions of what was read (`checks` has
their table), and the terminal and the page show the same findings and tables.
"""

from nnunetv2_sizepenalty.audit.checks import CHECKS, run_checks
from nnunetv2_sizepenalty.audit.dataset import AuditedDataset, audit_cases
from nnunetv2_sizepenalty.audit.findings import ERROR, NOTE, WARNING, Finding

__all__ = [
    "CHECKS", "ERROR", "NOTE", "WARNING", "AuditedDataset", "Finding", "audit_cases", "run_checks",
]  # fmt: skip
