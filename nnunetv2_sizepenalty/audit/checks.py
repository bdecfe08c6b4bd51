"""The table of checks. To add one: a function of the audited data set that returns findings, and a row here."""

from collections.abc import Callable

from nnunetv2_sizepenalty.audit import file_checks, fold_checks, label_checks, lesion_checks
from nnunetv2_sizepenalty.audit.dataset import AuditedDataset
from nnunetv2_sizepenalty.audit.findings import Finding, worst_first
from nnunetv2_sizepenalty.nnunet_io.plan import preprocess_command

# Check -> whether it needs a plan.
CHECKS: dict[Callable[[AuditedDataset], list[Finding]], bool] = {
    file_checks.unreadable_files: False,
    file_checks.channel_numbers: False,
    file_checks.grids: False,
    file_checks.constant_channels: False,
    label_checks.label_values: False,
    label_checks.instance_ids: False,
    label_checks.absent_labels: False,
    label_checks.cases_without_lesion: False,
    fold_checks.copied_images: False,
    fold_checks.copied_labels: False,
    fold_checks.patients_across_folds: False,
    lesion_checks.stale_data: True,
    lesion_checks.cropped_lesions: True,
    lesion_checks.lost_lesions: True,
    lesion_checks.forced_patches: True,
    lesion_checks.weights: True,
    lesion_checks.silence: True,
}


def run_checks(audit: AuditedDataset) -> tuple[Finding, ...]:
    """Runs every check; errors first."""
    wanted = [check for check, needs_plan in CHECKS.items() if audit.plan is not None or not needs_plan]
    return worst_first([finding for check in wanted for finding in check(audit)])


def not_looked_at(audit: AuditedDataset) -> list[tuple[str, str]]:
    """Lists what the audit could not see, each with the command to get it."""
    if audit.plan is None:
        return [
            (
                "There is no plan yet, so nothing is said of resampling, forced centres and the weight of S.",
                f"nnUNetv2_plan_and_preprocess -d {audit.number}",
            )
        ]
    if resampled := sum(case.preprocessed is False for case in audit.cases):
        text = (
            f"{resampled} of {len(audit.cases)} cases are not preprocessed: their label maps were resampled here, with "
            "nnU-Net's own function."
        )
        return [(text, preprocess_command(audit.plan, audit.number))]
    return []
