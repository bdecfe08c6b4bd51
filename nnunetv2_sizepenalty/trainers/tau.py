"""`_tauAuto`: tau from the fold's training cases."""

from collections.abc import Sequence

from nnunetv2.training.dataloading.nnunet_dataset import nnUNetBaseDataset
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager

from nnunetv2_sizepenalty.nnunet_io.classes import labels_of
from nnunetv2_sizepenalty.sampling.choose_tau import VolumeSample, median_tau, volumes_in_patches, volumes_of_lesions
from nnunetv2_sizepenalty.sampling.lesion_locations import find_lesions
from nnunetv2_sizepenalty.sampling.patch_volumes import PatchKind
from nnunetv2_sizepenalty.trainers.processes import from_first_process


def estimate_tau(
    dataset: nnUNetBaseDataset,
    folder: str,
    kinds: Sequence[PatchKind],
    label_manager: LabelManager,
    configuration: ConfigurationManager,
    *,
    per_lesion: bool,
) -> tuple[str, float]:
    """Returns what tau is the median of, in words, and tau in voxels; the same in all processes.

    Args:
        dataset: the training cases.
        folder: of the preprocessed cases.
        kinds: the patches that the recipe draws.
        per_lesion: whether S is of each lesion.
    """

    def estimate() -> tuple[str, float]:
        if per_lesion:
            volumes = _lesion_volumes(dataset, folder, label_manager, configuration)
        else:
            volumes = volumes_in_patches(dataset, kinds, label_manager, configuration.batch_size)
        return f"{len(volumes.voxels)} {volumes.of}", median_tau(volumes)

    return from_first_process(estimate)


def _lesion_volumes(
    dataset: nnUNetBaseDataset, folder: str, label_manager: LabelManager, configuration: ConfigurationManager
) -> VolumeSample:
    lesions = find_lesions(
        folder,
        dataset.identifiers,
        labels_of(label_manager).channels,
        slicewise=len(configuration.patch_size) == 2,
        processes=get_allowed_n_proc_DA(),
    )
    return volumes_of_lesions(lesions.values())
