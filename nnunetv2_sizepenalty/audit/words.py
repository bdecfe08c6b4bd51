"""Sentences that the terminal and the page share."""

from collections import Counter
from collections.abc import Sequence

from nnunetv2_sizepenalty.audit.dataset import AuditedDataset
from nnunetv2_sizepenalty.audit.findings import ERROR, SEVERITIES, WARNING, Finding
from nnunetv2_sizepenalty.nnunet_io.file_names import SPLITS
from nnunetv2_sizepenalty.pages.numbers import plural


def headline(findings: Sequence[Finding]) -> str:
    """How many findings of each severity."""
    numbers = Counter(finding.severity for finding in findings)
    if not findings:
        return "Nothing found."
    parts = [plural(numbers[severity], severity) for severity in SEVERITIES if numbers[severity]]
    start = "" if numbers[ERROR] or numbers[WARNING] else "Nothing wrong; "
    return f"{start}{', '.join(parts)}."


def about(audit: AuditedDataset) -> str:
    """The data set and the plan in a line."""
    parts = [plural(len(audit.cases), "case"), plural(len(audit.lesions), "lesion")]
    if audit.plan is not None:
        patch, spacing = audit.plan.patch_size, audit.plan.settings.spacing
        parts += [
            f"{audit.plan.name} {audit.plan.configuration}",
            f"patch {'x'.join(map(str, patch))}",
            f"spacing {' x '.join(f'{value:.3g}' for value in spacing)} mm",
        ]
    return ", ".join(parts)


def folds(audit: AuditedDataset) -> tuple[str, str]:
    """Which folds were looked at, and the command that makes others."""
    if audit.folds_exist:
        return f"The {plural(len(audit.folds), 'fold')} of {SPLITS} were looked at.", ""
    command = f"nnUNetv2_sizepenalty split -d {audit.number}"
    if not audit.folds:
        return "There are no folds: nnU-Net needs five cases to make its own.", command
    return f"There is no {SPLITS} yet: the folds are those that nnU-Net would make at random.", command
