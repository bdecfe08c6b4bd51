"""Checks of what a plan and a sampling do to lesions: lost, passed over, outweighed."""

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.audit.dataset import AuditedDataset
from nnunetv2_sizepenalty.audit.findings import NOTE, WARNING, Finding
from nnunetv2_sizepenalty.audit.sizes import by_size
from nnunetv2_sizepenalty.audit.words import planned_spacing
from nnunetv2_sizepenalty.losses.size_term import TAU
from nnunetv2_sizepenalty.nnunet_io.file_names import NNUNET_PLANS
from nnunetv2_sizepenalty.nnunet_io.plan import preprocess_command
from nnunetv2_sizepenalty.pages.numbers import number, percent, plural

# Small lesions are many from this share of all on.
MANY = 0.25
# Weights of S below which it says next to nothing, and above which a lesion counts as small.
SILENT, SMALL = 0.1, 0.5


def stale_data(audit: AuditedDataset) -> list[Finding]:
    """Preprocessed cases that are not of these raw data."""
    stale = tuple(case.raw.case for case in audit.cases if case.stale)
    if not stale:
        return []
    what = f"{plural(len(stale), 'preprocessed case')} made of an image of another size than the raw one."
    command = preprocess_command(audit.plan, audit.number)
    return [Finding(WARNING, "stale data", what, "Preprocess again.", stale, command)]


def cropped_lesions(audit: AuditedDataset) -> list[Finding]:
    """Lesions where all channels are 0, which nnU-Net crops away."""
    cut = audit.lesions[audit.lesions["outside"] > 0]
    if cut.empty:
        return []
    what = f"{plural(len(cut), 'lesion')}, in whole or in part, where every channel is 0 and nnU-Net crops the image."
    remedy = "Look at these cases: the label is shifted, or the mask that cut the image out cut lesions off."
    return [Finding(WARNING, "cropped lesions", what, remedy, _sizes_by_case(cut, audit))]


def lost_lesions(audit: AuditedDataset) -> list[Finding]:
    """Lesions of which no voxel is left at the plan's spacing."""
    inside = audit.lesions[audit.lesions["outside"] < audit.lesions["voxels"]]
    lost = inside[inside["kept"] == 0]
    if lost.empty:
        return []
    spacing = list(audit.plan.settings.spacing)
    what = (
        f"{plural(len(lost), 'lesion')} of {len(inside):,} without a voxel at the plan's spacing of "
        f"{planned_spacing(audit.plan)}; the largest has {number(lost['size'].max())} "
        f"{audit.bins.unit}."
    )
    command = ""
    if audit.plan.configuration == "3d_fullres":  # the only one whose spacing nnU-Net's option sets
        finer = " ".join(f"{value / 2 if value == max(spacing) else value:.3g}" for value in spacing)
        command = f"nnUNetv2_plan_experiment -d {audit.number} -overwrite_target_spacing {finer}"
        command += " -overwrite_plans_name FINER"
    remedy = "Plan finer voxels, or these lesions can't be learnt."
    return [Finding(WARNING, "lost lesions", what, remedy, _sizes_by_case(lost, audit), command)]


def forced_patches(audit: AuditedDataset) -> list[Finding]:
    """Small lesions that forced patches are rarely centred on, since nnU-Net draws a voxel and not a lesion."""
    found = {}
    for label in audit.classes:
        rows = by_size(audit, label)
        if not rows["lesions"].sum() or rows["by_voxel"].isna().all():
            continue
        below = rows[["by_voxel", "by_lesion"]].cumsum()
        below["lesions"] = rows["lesions"].cumsum() / rows["lesions"].sum()
        at = (below["lesions"] - below["by_voxel"]).idxmax()
        small = below.loc[at]
        if small["lesions"] >= MANY and small["by_voxel"] <= small["lesions"] / 2:
            found[label] = (
                f"lesions under {audit.bins.edges[at]:g} {audit.bins.unit} are {percent(small['lesions'])} of all "
                f"and get {percent(small['by_voxel'])} of the forced centres, {percent(small['by_lesion'])} when a "
                "lesion is drawn"
            )
    what = "Small lesions get few of the forced centres"
    remedy = "Centre forced patches on a lesion, whatever its size."
    return _of_labels(audit, "forced centres", what, found, remedy, "_lesionuniform")


def weights(audit: AuditedDataset) -> list[Finding]:
    """Small lesions that S takes for large, since other lesions share their patches."""
    found = {}
    for label, lesions in _weighed(audit).items():
        small = lesions[lesions["own_weight"] > SMALL]
        patch, own = small["patch_weight"].median(), small["own_weight"].median()
        if patch < own / 2:
            found[label] = (
                f"lesions that are small to S by themselves (median weight {own:.2f}) have a median weight of "
                f"{patch:.2f} in their patches"
            )
    what = "Other lesions in the patch take the weight of small ones"
    return _of_labels(audit, "weight of S", what, found, "Let S see each lesion by itself.", "_perlesion")


def silence(audit: AuditedDataset) -> list[Finding]:
    """Lesions so large that S has next to no weight."""
    found = {}
    for label, lesions in _weighed(audit).items():
        own = lesions["own_weight"].median()
        if own < SILENT:
            found[label] = f"half of the lesions have a weight below {own:.2f} even by themselves"
    what = f"S is nearly silent at tau = {TAU:g} voxels"
    return _of_labels(audit, "weight of S", what, found, "Leave S out, or let the data choose tau.", "_tauAuto")


def _weighed(audit: AuditedDataset) -> dict[str, pd.DataFrame]:
    """Label -> its lesions that have a weight."""
    lesions = audit.lesions.dropna(subset=["own_weight"])
    return {label: rows for label in audit.classes if len(rows := lesions[lesions["label"] == label])}


def _of_labels(
    audit: AuditedDataset, check: str, what: str, found: dict[str, str], remedy: str, modifier: str
) -> list[Finding]:
    """One note about every label that has something, with the trainer that is the remedy."""
    if not found:
        return []
    plans = "" if audit.plan.name == NNUNET_PLANS else f" -p {audit.plan.name}"
    command = f"nnUNetv2_train {audit.number} {audit.plan.configuration} 0 -tr nnUNetTrainerDTS{modifier}{plans}"
    if len(audit.classes) == 1:
        return [Finding(NOTE, check, f"{what}: {found.popitem()[1]}.", remedy, command=command)]
    where = tuple(f"{label}: {text}" for label, text in found.items())
    return [Finding(NOTE, check, f"{what}, in {plural(len(where), 'label')}.", remedy, where, command)]


def _sizes_by_case(rows: pd.DataFrame, audit: AuditedDataset) -> tuple[str, ...]:
    """A line a case: the sizes of these of its lesions, the largest first."""
    lines = []
    for case, of_case in rows.groupby("case"):
        sizes = np.sort(of_case["size"])[::-1]
        shown = ", ".join(number(size) for size in sizes[:5]) + (", ..." if len(sizes) > 5 else "")
        lines.append(f"{case}: {shown} {audit.bins.unit}")
    return tuple(lines)
