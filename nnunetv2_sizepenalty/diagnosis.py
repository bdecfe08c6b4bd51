"""What nnU-Net sees: the findings of `nnUNetv2_sizepenalty doctor`."""

import contextlib
import io
import os
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from nnunetv2_sizepenalty.nnunet_io.folders import VARIABLES
from nnunetv2_sizepenalty.registration import PLUGIN_FOLDER, VARIABLE, export_line, is_registered

PACKAGES = (
    "nnunetv2-sizepenalty",
    "nnunetv2",
    "torch",
    "batchgenerators",
    "batchgeneratorsv2",
    "dynamic-network-architectures",
    "acvl-utils",
    "SimpleITK",
    "numpy",
    "connected-components-3d",
)


@dataclass(frozen=True)
class DiagnosisLine:
    """One line of the diagnosis; `remedy` is set when it would keep a training from starting."""

    subject: str
    value: str
    remedy: str | None = None


def _versions() -> list[DiagnosisLine]:
    findings = []
    for package in PACKAGES:
        try:
            findings.append(DiagnosisLine(package, version(package)))
        except PackageNotFoundError:
            findings.append(DiagnosisLine(package, "not installed", f"pip install {package}"))
    return findings


def _devices() -> list[DiagnosisLine]:
    findings = [DiagnosisLine("CPU", f"{os.cpu_count()} cores, {torch.get_num_threads()} torch threads")]
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            findings.append(
                DiagnosisLine(f"GPU {index}", f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB")
            )
    else:
        findings.append(DiagnosisLine("GPU", "none that torch can use: train with -device cpu"))
    return findings


def _folders() -> list[DiagnosisLine]:
    findings = []
    for variable in VARIABLES:
        folder = os.environ.get(variable)
        if not folder:
            findings.append(DiagnosisLine(variable, "not set", f"export {variable}=/a/folder"))
        elif not Path(folder).is_dir():
            findings.append(DiagnosisLine(variable, f"{folder} does not exist yet"))
        elif not os.access(folder, os.W_OK):
            findings.append(DiagnosisLine(variable, f"{folder} can't be written to", f"chmod u+w {folder}"))
        else:
            findings.append(DiagnosisLine(variable, folder))
    return findings


def _trainers() -> list[DiagnosisLine]:
    """Every combination with both recipes, and every modifier once, through nnU-Net's own look-up."""
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

    from nnunetv2_sizepenalty.losses import COMMON_COMBINATIONS
    from nnunetv2_sizepenalty.trainers.names import ATTENTION_ASPP, MODIFIERS, PREFIX, example_combination

    names = [PREFIX + code + suffix for code in COMMON_COMBINATIONS for suffix in ("", "_nnUNet")]
    names += [f"{PREFIX}{example_combination(modifier)}_{modifier.example}" for modifier in MODIFIERS]
    names.append(ATTENTION_ASPP)
    missing = []
    for name in dict.fromkeys(names):
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                found = recursive_find_trainer_class_by_name(name)
        except Exception as error:  # whatever nnU-Net or a module beside ours raises is the finding
            return [DiagnosisLine(name, f"{type(error).__name__}: {error}", export_line())]
        if not found.__module__.startswith("nnunetv2_sizepenalty"):
            missing.append(f"{name} is {found.__module__}'s")
    if missing:
        return [DiagnosisLine("trainers", "; ".join(missing), "rename the other trainers of that name")]
    return [DiagnosisLine("trainers", f"{len(dict.fromkeys(names))} names, all found by nnU-Net's look-up")]


def diagnose() -> dict[str, list[DiagnosisLine]]:
    """Findings by section."""
    registered = DiagnosisLine(
        VARIABLE,
        os.environ.get(VARIABLE, "not set"),
        None if is_registered() else export_line(),
    )
    return {
        "versions": _versions(),
        "devices": _devices(),
        "folders": _folders(),
        "registration": [DiagnosisLine("plugin folder", str(PLUGIN_FOLDER)), registered, *_trainers()],
    }


def print_findings(sections: dict[str, list[DiagnosisLine]]) -> int:
    """Prints a table a section; returns 1 when a finding needs a remedy, else 0."""
    console = Console()
    for title, findings in sections.items():
        table = Table(title=title, title_justify="left", show_header=False)
        for finding in findings:
            table.add_row(finding.subject, finding.value, f"-> {finding.remedy}" if finding.remedy else "ok")
        console.print(table)
    needed = [finding for findings in sections.values() for finding in findings if finding.remedy]
    console.print(
        f"{len(needed)} to mend" if needed else "Ready: nnUNetv2_train DATASET 3d_fullres 0 -tr nnUNetTrainerDTS"
    )
    return int(bool(needed))
