"""`_lesionuniform`: forced patches are drawn for a lesion, each of the case's lesions equally likely."""

from collections.abc import Sequence

import numpy as np
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetBaseDataset
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA
from nnunetv2.utilities.label_handling.label_handling import LabelManager

from nnunetv2_sizepenalty.nnunet_io.classes import labels_of
from nnunetv2_sizepenalty.sampling.lesion_locations import CaseLesions, find_lesions
from nnunetv2_sizepenalty.trainers.processes import from_first_process


class LesionUniformDataset:
    """A preprocessed dataset for nnU-Net's loader, which draws one of a case's classes, then one of its voxels.

    Here each lesion is such a class, so that the loader draws a lesion and a voxel of it. Where an ignore label makes
    it centre the patches that are not forced on an annotated voxel, it goes on doing so.

    Args:
        dataset: nnU-Net's.
        lesions: of its cases.
        label_manager: of the dataset.
    """

    def __init__(self, dataset: nnUNetBaseDataset, lesions: dict[str, CaseLesions], label_manager: LabelManager):
        self.dataset = dataset
        self.identifiers = dataset.identifiers
        self.lesions = lesions
        self._annotated = (-1, *label_manager.all_labels)

    def load_case(self, identifier: str) -> tuple:
        *arrays, properties = self.dataset.load_case(identifier)
        lesions = self.lesions[identifier]
        # nnU-Net's coordinates start with the channel's
        coordinates = np.pad(lesions.coordinates.astype(int), ((0, 0), (1, 0)))
        locations = dict(enumerate(np.split(coordinates, lesions.starts[1:-1]) if len(lesions) else ()))
        if self._annotated in properties["class_locations"]:
            locations[self._annotated] = properties["class_locations"][self._annotated]
        return *arrays, {**properties, "class_locations": locations}


def lesion_uniform(
    datasets: Sequence[nnUNetBaseDataset], folder: str, label_manager: LabelManager
) -> tuple[tuple[LesionUniformDataset, ...], str]:
    """Returns the datasets with their lesions in the place of nnU-Net's classes, and what was found, in words.

    Args:
        datasets: nnU-Net's, of training and validation.
        folder: of the preprocessed cases.
    """
    cases = sorted({case for dataset in datasets for case in dataset.identifiers})
    channels = labels_of(label_manager).channels
    lesions = from_first_process(lambda: find_lesions(folder, cases, channels, processes=get_allowed_n_proc_DA()))
    without = sum(len(of_case) == 0 for of_case in lesions.values())
    found = (
        f"Forced patches hold one of {sum(map(len, lesions.values()))} lesions, drawn uniformly within "
        f"its case; {without} of {len(lesions)} cases have none."
    )
    return tuple(LesionUniformDataset(dataset, lesions, label_manager) for dataset in datasets), found
