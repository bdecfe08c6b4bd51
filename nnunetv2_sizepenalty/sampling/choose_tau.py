"""tau from the data: what S sees of the training cases, and the size scale that suits it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetBaseDataset
from nnunetv2.utilities.label_handling.label_handling import LabelManager

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.losses.formulas import size_weight
from nnunetv2_sizepenalty.sampling.lesion_locations import CaseLesions
from nnunetv2_sizepenalty.sampling.patch_volumes import PATCHES_PER_CASE, PatchKind, draw_patch_volumes

# weight of a lesion of 5 mL under the thesis's tau at the spacing of ISLES (section 6.5)
GATE_WEIGHT = 0.353
PERCENTILES = (5, 25, 50, 75, 95)
_FEWEST_PATCHES = 2000


@dataclass(frozen=True)
class VolumeSample:
    """V_g as S meets it, in voxels of the plan.

    Attributes:
        of: what they are volumes of, for people.
        voxels: int (n,), none of them 0.
        drawn: how many patches (times classes) were drawn, those without a lesion included; None for lesions.
    """

    of: str
    voxels: np.ndarray
    drawn: int | None = None

    def percentile(self, percent: float) -> float:
        """NaN where there are no volumes."""
        return float(np.percentile(self.voxels, percent)) if len(self.voxels) else math.nan


def volumes_in_patches(
    dataset: nnUNetBaseDataset, kinds: Sequence[PatchKind], label_manager: LabelManager, batch_size: int
) -> VolumeSample:
    """V_g of every pair of training patch and foreground class that holds a lesion; the same at every call.

    Args:
        dataset: the training cases; what `draw_patch_volumes` takes, as the other arguments.
    """
    per_case = max(PATCHES_PER_CASE, math.ceil(_FEWEST_PATCHES / len(dataset.identifiers)))
    voxels = draw_patch_volumes(dataset, kinds, label_manager, batch_size, per_case=per_case).voxels
    return VolumeSample("training patches with a lesion", voxels[voxels > 0], voxels.size)


def volumes_of_lesions(lesions: Iterable[CaseLesions]) -> VolumeSample:
    """Collects the volume of every lesion of some cases."""
    return VolumeSample("lesions", np.concatenate([np.empty(0, int), *(case.voxels for case in lesions)]))


def weights(voxels: Sequence[float] | np.ndarray, tau: float) -> np.ndarray:
    """Computes the weight of S at these volumes, by the loss's own formula."""
    return size_weight(torch.as_tensor(np.asarray(voxels, dtype=float)), tau).numpy()


def median_tau(volumes: VolumeSample) -> float:
    """Takes the median volume in whole voxels: half of what S sees gets a weight above 0.37, half below.

    Raises:
        UserError: there is none.
    """
    if not len(volumes.voxels):
        raise UserError("no training case holds a lesion, so that none can tell tau; name one, such as _tau600")
    return _whole(volumes.percentile(50))


def gated_tau(voxels: float) -> float:
    """Computes the tau in whole voxels under which a lesion of that size has the weight `GATE_WEIGHT`."""
    return _whole(voxels / math.log(1 / GATE_WEIGHT))


def modifier(tau: float) -> str:
    """Writes a tau of whole voxels as a trainer's name has it."""
    return f"_tau{tau:.0f}"


def _whole(voxels: float) -> float:
    return float(max(1, round(voxels)))
