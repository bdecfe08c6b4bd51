"""Checks of what a plan and a sampling do to lesions: lost, passed over, outweighed."""

import shlex

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.pages.numbers import number, percent, plural
from nnunetv2_sizepenalty.planning.audit.case import TAU
from nnunetv2_sizepenalty.planning.audit.dataset import AuditedDataset
from nnunetv2_sizepenalty.planning.audit.findings import NOTE, WARNING, Finding
from nnunetv2_sizepenalty.planning.audit.sizes import by_size

# A weight of S below which it says next to nothing.
SILENT = 0.1


def lost_lesions(audit: AuditedDataset) -> list[Finding]:
    """Lesions of which no voxel is left at the plan's spacing."""
    inside = audit.lesions[audit.lesions["outside"] < audit.lesions["voxels"]]
    lost = inside[inside["kept"] == 0]
    if lost.empty:
        return []
    spacing = list(audit.plan.settings.spacing)
    what = (
        f"{plural(len(lost), 'lesion')} of {len(inside):,} without a voxel at the plan's spacing of "
        f"{_by(spacing)} mm; the largest has {number(lost['size'].max())} {audit.bins.unit}."
    )
    finer = shlex.join(f"{value / 2 if value == max(spacing) else value:.3g}" for value in spacing)
    remedy = (
        "Plan finer voxels, such as nnUNetv2_plan_experiment "
        f"-d {audit.number} -overwrite_target_spacing {finer} -overwrite_plans_name FinerPlans (for 3d_fullres); "
        "lesions that stay lost can't be learnt."
    )
    return [Finding(WARNING, "lost lesions", what, remedy, _lesions(lost, audit))]


def cropped_lesions(audit: AuditedDataset) -> list[Finding]:
    """Lesions where all channels are 0, which nnU-Net crops away."""
    cut = audit.lesions[audit.lesions["outside"] > 0]
    if cut.empty:
        return []
    what = f"{plural(len(cut), 'lesion')}, in whole or in part, where every channel is 0 and nnU-Net crops the image."
    remedy = "Look at these cases: the label is shifted, or the mask that cut the image out cut lesions off."
    return [Finding(WARNING, "cropped lesions", what, remedy, _lesions(cut, audit))]


def stale_data(audit: AuditedDataset) -> list[Finding]:
    """Preprocessed cases that are not of these raw data."""
    stale = tuple(case.raw.case for case in audit.cases if case.stale)
    if not stale:
        return []
    what = f"{plural(len(stale), 'preprocessed case')} made of an image of another size than the raw one."
    remedy = f"nnUNetv2_preprocess -d {audit.number} -plans_name {audit.plan.name} -c {audit.plan.configuration}"
    return [Finding(WARNING, "stale data", what, remedy, stale)]


def forced_patches(audit: AuditedDataset) -> list[Finding]:
    """Small lesions that forced patches are rarely centred on, since nnU-Net draws a voxel and not a lesion."""
    findings = []
    for label in audit.classes:
        rows = by_size(audit, label)
        if rows["by_voxel"].isna().all() or not rows["lesions"].sum():
            continue
        sums = rows[["lesions", "by_voxel", "by_lesion"]].cumsum()
        sums = sums.assign(lesions=sums["lesions"] / rows["lesions"].sum(), gap=0.0)
        sums["gap"] = sums["lesions"] - sums["by_voxel"]
        at = sums["gap"].idxmax()
        small = sums.loc[at]
        if small["lesions"] < 0.25 or small["by_voxel"] > small["lesions"] / 2:
            continue
        edge = f"{audit.bins.edges_ml[at]:g} {audit.bins.unit}"
        what = (
            f"{_label(audit, label)}lesions under {edge} are {percent(small['lesions'])} of the lesions and get "
            f"{percent(small['by_voxel'])} of the forced centres; {percent(small['by_lesion'])} when a lesion is drawn."
        )
        remedy = "Train with _lesionuniform, such as nnUNetTrainerDTS_lesionuniform."
        findings.append(Finding(NOTE, "forced centres", what[0].upper() + what[1:], remedy))
    return findings


def weights(audit: AuditedDataset) -> list[Finding]:
    """Whether S sees small lesions as small, and whether it says anything at all."""
    findings = []
    for label in audit.classes:
        lesions = audit.lesions[audit.lesions["label"] == label].dropna(subset=["own_weight"])
        if lesions.empty:
            continue
        own, patch = lesions["own_weight"].median(), lesions["patch_weight"].median()
        small = lesions[lesions["own_weight"] > 0.5]
        if own < SILENT:
            what = (
                f"{_label(audit, label)}S is nearly silent at tau = {TAU:g} voxels: half of the lesions have a weight "
                f"below {own:.2f} even by themselves."
            )
            remedy = "Let the data choose tau with _tauAuto, or leave S out: nothing is small here."
            findings.append(Finding(NOTE, "weight of S", what, remedy))
        elif len(small) and small["patch_weight"].median() < small["own_weight"].median() / 2:
            what = (
                f"{_label(audit, label)}lesions that are small to S have a median weight of "
                f"{small['patch_weight'].median():.2f}, since other lesions share their patches; "
                f"{small['own_weight'].median():.2f} by themselves."
            )
            remedy = "Train with _perlesion, such as nnUNetTrainerDTS_perlesion."
            findings.append(Finding(NOTE, "weight of S", what[0].upper() + what[1:], remedy))
        elif patch < SILENT:
            what = f"{_label(audit, label)}S is nearly silent at tau = {TAU:g}: median weight {patch:.2f}."
            findings.append(Finding(NOTE, "weight of S", what, "Let the data choose tau with _tauAuto."))
    return findings


def _label(audit: AuditedDataset, label: str) -> str:
    return f"{label}: " if len(audit.classes) > 1 else ""


def _by(values: list[float]) -> str:
    return " x ".join(f"{value:.3g}" for value in values)


def _lesions(rows: pd.DataFrame, audit: AuditedDataset) -> tuple[str, ...]:
    """A line a case: how many of its lesions, and their sizes, the largest first."""
    lines = []
    for case, of_case in rows.groupby("case"):
        sizes = np.sort(of_case["size"])[::-1]
        shown = ", ".join(number(size) for size in sizes[:5]) + (", ..." if len(sizes) > 5 else "")
        lines.append(f"{case}: {shown} {audit.bins.unit}")
    return tuple(lines)
