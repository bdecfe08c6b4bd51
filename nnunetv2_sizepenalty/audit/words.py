"""Sentences that the terminal and the page share."""

from collections import Counter
from collections.abc import Sequence

from nnunetv2_sizepenalty.audit.dataset import AuditedDataset
from nnunetv2_sizepenalty.audit.findings import ERROR, SEVERITIES, WARNING, Finding
from nnunetv2_sizepenalty.lesions import PX, size_unit
from nnunetv2_sizepenalty.nnunet_io.file_names import SPLITS
from nnunetv2_sizepenalty.nnunet_io.plan import Plan
from nnunetv2_sizepenalty.nnunet_io.spacing import voxel_mm
from nnunetv2_sizepenalty.pages.numbers import plural


def headline(findings: Sequence[Finding]) -> str:
    """Counts the findings of each severity."""
    numbers = Counter(finding.severity for finding in findings)
    if not findings:
        return "Nothing found."
    parts = [plural(numbers[severity], severity) for severity in SEVERITIES if numbers[severity]]
    start = "" if numbers[ERROR] or numbers[WARNING] else "Nothing wrong; "
    return f"{start}{', '.join(parts)}."


def about(audit: AuditedDataset) -> str:
    """Describes the data set and the plan in a line."""
    parts = [plural(len(audit.cases), "case"), plural(len(audit.lesions), "lesion")]
    if audit.plan is not None:
        patch = audit.plan.patch_size
        parts += [
            f"{audit.plan.name} {audit.plan.configuration}",
            f"patch {'x'.join(map(str, patch))}",
            f"spacing {planned_spacing(audit.plan)}",
        ]
    return ", ".join(parts)


def planned_spacing(plan: Plan) -> str:
    """The plan's spacing with its unit, which is the image's pixel where that has no spacing."""
    unit = "px" if size_unit(voxel_mm(plan.manager, plan.settings)) == PX else "mm"
    return f"{' x '.join(f'{value:.3g}' for value in plan.settings.spacing)} {unit}"


def folds(audit: AuditedDataset) -> tuple[str, str]:
    """Says which folds were looked at, and gives the command that makes others."""
    if audit.folds_exist:
        return f"The {plural(len(audit.folds), 'fold')} of {SPLITS} were looked at.", ""
    command = f"nnUNetv2_sizepenalty split -d {audit.number}"
    if not audit.folds:
        return "There are no folds: nnU-Net needs five cases to make its own.", command
    return f"There is no {SPLITS} yet: the folds are those that nnU-Net would make at random.", command
