"""Checks of a case's files: that they can be read, lie on one grid and say something."""

from collections import Counter

import numpy as np

from nnunetv2_sizepenalty.audit.dataset import AuditedDataset
from nnunetv2_sizepenalty.audit.findings import ERROR, WARNING, Finding
from nnunetv2_sizepenalty.audit.raw_case import RawCase, RawFile
from nnunetv2_sizepenalty.pages.numbers import plural

# Largest difference of spacing and place (mm) and of a direction cosine between files of one case.
GRID_TOLERANCE = 1e-3


def unreadable_files(audit: AuditedDataset) -> list[Finding]:
    """Files that are missing, damaged, or hold no label map."""
    lines = tuple(line for case in audit.cases for line in case.raw.unreadable)
    if not lines:
        return []
    what = f"{plural(len(lines), 'file')} can't be used."
    return [Finding(ERROR, "files", what, "Replace them, or remove the cases from imagesTr and labelsTr.", lines)]


def channel_numbers(audit: AuditedDataset) -> list[Finding]:
    """Cases with more or fewer channels than dataset.json names."""
    numbers = {case.raw.case: sum(image.n_channels for image in case.raw.images) for case in audit.cases}
    wrong = {case: number for case, number in numbers.items() if number != audit.channels}
    if not wrong:
        return []
    what = f"{plural(len(wrong), 'case')} with another number of channels than dataset.json's {audit.channels}."
    remedy = "Add the missing CASE_0000 files, or name in channel_names the channels that there are."
    return [Finding(ERROR, "channels", what, remedy, tuple(f"{case}: {n}" for case, n in wrong.items()))]


def grids(audit: AuditedDataset) -> list[Finding]:
    """Files of one case that differ in shape or spacing, or in their place in space."""
    found: dict[bool, list[str]] = {True: [], False: []}
    for case in audit.cases:
        for line, place_alone in grid_differences(case.raw):
            found[place_alone].append(line)
    findings = []
    if lines := found[False]:
        what = f"{plural(len(lines), 'file')} with another shape or spacing than the first channel of the case."
        remedy = "Resample images and labels of a case onto one grid (labels with nearest neighbours)."
        findings.append(Finding(ERROR, "grids", what, remedy, tuple(lines)))
    if lines := found[True]:
        what = f"{plural(len(lines), 'file')} elsewhere in space than the first channel of the case."
        remedy = (
            "Copy the image's header where the voxels do correspond, else resample onto its grid: nnU-Net pairs voxels "
            "by index and only warns."
        )
        command = f"nnUNetv2_plot_overlay_pngs -d {audit.number} -o FOLDER"
        findings.append(Finding(WARNING, "grids", what, remedy, tuple(lines), command))
    return findings


def grid_differences(case: RawCase) -> list[tuple[str, bool]]:
    """Writes a line for each file that differs from the first channel, and whether in its place alone."""
    files = [*case.images, *([case.label] if case.label else [])]
    differences = []
    for file in files[1:]:
        differing = [name for name in file.geometry if _differ(name, file, files[0])]
        if differing:
            name = differing[0]
            ours, theirs = (_numbers(f.geometry.get(name, ())) for f in (file, files[0]))
            place_alone = not {"shape", "spacing"} & set(differing)
            differences.append((f"{file.name}: {name} {ours} instead of {theirs}", place_alone))
    return differences


def _differ(name: str, file: RawFile, first: RawFile) -> bool:
    ours, theirs = file.geometry[name], first.geometry.get(name, ())
    return len(ours) != len(theirs) or not np.allclose(ours, theirs, rtol=0, atol=GRID_TOLERANCE)


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.4g}" for value in values)


def constant_channels(audit: AuditedDataset) -> list[Finding]:
    """Channels whose voxels all hold one value, in some cases or in all."""
    where, channels = [], Counter()
    for case in audit.cases:
        first = 0
        for image in case.raw.images:
            for channel, value in image.constant.items():
                channels[first + channel] += 1
                where.append(f"{case.raw.case}: channel {first + channel} is {value:g} everywhere")
            first += image.n_channels
    if not where:
        return []
    always = [str(channel) for channel, number in channels.items() if number == len(audit.cases)]
    cases = len({line.split(":")[0] for line in where})
    what = f"A channel is constant in {plural(cases, 'case')}: there is nothing to learn from it."
    remedy = (
        f"Leave channel {', '.join(always)} out: remove its files and its entry in channel_names."
        if always
        else "Replace these files; a case whose channel was never taken is better left out."
    )
    return [Finding(WARNING, "constant channels", what, remedy, tuple(where))]
