"""A case in full: its raw files, and its lesions before and after the plan's resampling."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from nnunetv2_sizepenalty.audit.plan_case import (
    ForcedPatch,
    PlannedCase,
    forced_shares,
    lesion_origins,
    patches_of_lesion,
    planned_case,
)
from nnunetv2_sizepenalty.audit.raw_case import CasePaths, RawCase, read_raw_case
from nnunetv2_sizepenalty.lesions import component_voxels, label_components, voxels_to_ml
from nnunetv2_sizepenalty.losses.formulas import size_weight
from nnunetv2_sizepenalty.losses.size_term import TAU
from nnunetv2_sizepenalty.nnunet_io.plan import Plan
from nnunetv2_sizepenalty.sampling.lesion_locations import CaseLesions, locate_lesions

COLUMNS = (
    "case", "label", "voxels", "size", "outside", "kept", "by_voxel", "by_lesion", "patch_weight", "own_weight",
)  # fmt: skip


@dataclass(frozen=True)
class Work:
    """What is the same for every case.

    Attributes:
        reader: nnU-Net's reader and writer class.
        settings: dataset.json.
        classes: name of each foreground class or region -> its label values.
        plan: None without one.
    """

    reader: type
    settings: Mapping
    classes: Mapping[str, tuple[int, ...]]
    plan: Plan | None


@dataclass(frozen=True)
class AuditedCase:
    """What was found in a case.

    Attributes:
        raw: of its files.
        flat: whether it is a 2D image, whose sizes are in pixels.
        lesions: a row a lesion, `COLUMNS`: voxels in the raw label map; size in mL (in pixels where `flat`); voxels
            outside the box that nnU-Net crops to; voxels kept at the plan's spacing; the share of this case's forced
            patches that are centred on it when a voxel is drawn (`by_voxel`) and when a lesion is (`by_lesion`); the
            mean of exp(-V / tau) over patches forced onto its voxels, V being all that the patch holds of the class
            (`patch_weight`) or this lesion alone (`own_weight`). NaN where nothing can be said.
        preprocessed: whether the preprocessed data were read; None without a plan.
        stale: whether they were made of an image of another size.
    """

    raw: RawCase
    flat: bool
    lesions: pd.DataFrame
    preprocessed: bool | None = None
    stale: bool = False


def audit_case(item: tuple[CasePaths, CaseLesions | None], work: Work) -> AuditedCase:
    """Reads and measures one case.

    Args:
        item: its files, and the lesions of its preprocessed segmentation where there is one.
    """
    paths, found = item
    raw, segmentation, box = read_raw_case(paths, work.reader)
    if segmentation is None:
        return AuditedCase(raw, False, pd.DataFrame(columns=list(COLUMNS)))
    flat = segmentation.shape[0] == 1
    spacing = raw.label.geometry["spacing"]
    planned, stale = None, False
    if work.plan is not None and _fit(raw):
        planned = planned_case(raw.case, segmentation, spacing, box, work.plan, work.settings)
        stale = planned.shape != tuple(segmentation.shape[axis] for axis in work.plan.manager.transpose_forward)
        planned = None if stale else planned
    if planned is not None and found is None:
        found = locate_lesions(planned.labels, list(work.classes.values()))
    frames = []
    for index, (name, values) in enumerate(work.classes.items()):
        components, n = label_components(np.isin(segmentation, values))
        voxels = component_voxels(components, n)
        frame = pd.DataFrame(
            {"voxels": voxels, "size": voxels.astype(float) if flat else voxels_to_ml(voxels, raw.label.spacing_mm)}
        ).assign(case=raw.case, label=name)
        if planned is not None:
            cut = components.transpose(work.plan.manager.transpose_forward)[planned.box]
            at_plan = _at_plan(index, values, n, cut, planned, found, work)
            frame = frame.assign(outside=voxels - component_voxels(cut, n), **at_plan)
        frames.append(frame.reindex(columns=list(COLUMNS)))
    return AuditedCase(raw, flat, pd.concat(frames), None if planned is None else planned.preprocessed, stale)


def _fit(raw: RawCase) -> bool:
    """Whether nnU-Net could preprocess the case: images of the label's shape."""
    return bool(raw.images) and all(image.geometry["shape"] == raw.label.geometry["shape"] for image in raw.images)


def _at_plan(
    index: int,
    values: Sequence[int],
    n: int,
    components: np.ndarray,
    planned: PlannedCase,
    found: CaseLesions,
    work: Work,
) -> dict[str, np.ndarray]:
    """The columns that need a plan, for the n raw lesions of one class."""
    mask = np.isin(planned.labels, values)
    origins = lesion_origins(mask, components, planned)

    def count(voxels: np.ndarray) -> np.ndarray:
        """How many of some foreground voxels (z, y, x) come from each raw lesion."""
        return np.bincount(origins[tuple(np.reshape(voxels, (-1, 3)).T)], minlength=n + 1)

    at, probability = forced_shares(planned, values)
    by_voxel = count(at) * probability / max(len(at), 1)
    by_lesion, patches, patch_weight, own_weight = np.zeros((4, n + 1))
    patch = ForcedPatch(work.plan.patch_size, work.plan.label_manager(work.settings))
    for lesion in np.flatnonzero(found.channel == index):
        stored = found.of(lesion)
        by_lesion += count(stored) / len(stored) / len(found)
        centres, everything, alone = zip(*patches_of_lesion(lesion, found, mask, patch), strict=True)
        weights = size_weight(torch.tensor([everything, alone], dtype=torch.float64), TAU).numpy()
        numbers = origins[tuple(np.array(centres).T)]
        # a patch stands for its part of the voxels: pieces that resampling broke off a lesion count little
        part = found.voxels[lesion] / len(numbers)
        for total, terms in ((patches, 1), (patch_weight, weights[0]), (own_weight, weights[1])):
            np.add.at(total, numbers, part * terms)
    kept = np.bincount(origins[mask], minlength=n + 1)
    patches[patches == 0] = np.nan
    columns = {
        "kept": kept,
        "by_voxel": by_voxel,
        "by_lesion": by_lesion,
        "patch_weight": patch_weight / patches,
        "own_weight": own_weight / patches,
    }
    return {name: values[1:] for name, values in columns.items()}
