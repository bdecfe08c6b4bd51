"""Checks of the folds: copies of a case, and a patient, on both sides of one."""

from collections.abc import Mapping

from nnunetv2_sizepenalty.audit.dataset import AuditedDataset
from nnunetv2_sizepenalty.audit.findings import ERROR, WARNING, Finding
from nnunetv2_sizepenalty.audit.patients import likely_patients, straddling
from nnunetv2_sizepenalty.nnunet_io.file_names import SPLITS
from nnunetv2_sizepenalty.pages.numbers import plural


def copied_images(audit: AuditedDataset) -> list[Finding]:
    """Cases with the same images, voxel by voxel."""
    contents = {case.raw.case: tuple(image.content for image in case.raw.images) for case in audit.cases}
    copies = _alike({case: content for case, content in contents.items() if any(content)})
    if not copies:
        return []
    groups = {case: ", ".join(same) for same in copies for case in same}
    across = straddling(audit.folds, groups)
    findings = []
    if across:
        what = f"{plural(len(across), 'set')} of identical images on both sides of a fold of {_folds(audit)}."
        remedy = "Remove the copies, or split again with the patient as the group."
        command = _split(audit, "--order CSV --group COLUMN")
        findings.append(Finding(ERROR, "leakage", what, remedy, tuple(map(" = ".join, across.values())), command))
    rest = tuple(" = ".join(same) for same in copies if ", ".join(same) not in across)
    if rest:
        what = f"{plural(len(rest), 'set')} of identical images: they count twice."
        findings.append(Finding(WARNING, "copies", what, "Remove the copies.", rest))
    return findings


def copied_labels(audit: AuditedDataset) -> list[Finding]:
    """Cases with the same label map, which is not empty, under different images."""
    images = {case.raw.case: tuple(image.content for image in case.raw.images) for case in audit.cases}
    labels = {case.raw.case: case.raw.label.content for case in audit.cases if case.raw.label}
    copies = [same for same in _alike(labels) if labels[same[0]] and len({images[case] for case in same}) > 1]
    if not copies:
        return []
    what = f"{plural(len(copies), 'set')} of identical labels under different images: perhaps copied to a wrong name."
    remedy = "Check the labels; images of one patient belong on one side of a fold."
    return [Finding(WARNING, "copies", what, remedy, tuple(map(" = ".join, copies)))]


def patients_across_folds(audit: AuditedDataset) -> list[Finding]:
    """Cases that seem to be of one patient by their names, on both sides of a fold."""
    patients = likely_patients([case.raw.case for case in audit.cases])
    across = straddling(audit.folds, patients.groups)
    if not across:
        return []
    what = f"{plural(len(across), 'patient')} on both sides of a fold of {_folds(audit)}, as the cases' names have it."
    severity = WARNING if patients.pattern else ERROR
    command = _split(audit, f"--group '{patients.pattern}'" if patients.pattern else "")
    where = tuple(map(", ".join, across.values()))
    return [Finding(severity, "leakage", what, "Split by patient.", where, command)]


def _alike(contents: Mapping) -> list[tuple[str, ...]]:
    """Cases with equal content, sets of two and more."""
    same: dict = {}
    for case, content in contents.items():
        same.setdefault(content, []).append(case)
    return [tuple(cases) for cases in same.values() if len(cases) > 1]


def _folds(audit: AuditedDataset) -> str:
    return SPLITS if audit.folds_exist else f"nnU-Net's own split (there is no {SPLITS} yet)"


def _split(audit: AuditedDataset, group: str) -> str:
    options = [f"-d {audit.number}", group, "--overwrite" * audit.folds_exist]
    return " ".join(["nnUNetv2_sizepenalty split", *filter(None, options)])
