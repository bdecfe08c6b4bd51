"""`_lesionuniform`: forced patches are centred on a lesion, each of the case's lesions equally likely."""

import numpy as np
import torch.distributed as dist
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetBaseDataset
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA
from nnunetv2.utilities.label_handling.label_handling import LabelManager

from nnunetv2_sizepenalty.nnunet_io.classes import labels_of
from nnunetv2_sizepenalty.sampling.lesion_locations import CaseLesions, find_lesions


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


class LesionSampling:
    """Mixin for nnUNetTrainer: `sampling = "lesionuniform"` says where the forced patches of its batches lie."""

    sampling: str | None = None
    _lesion_uniform: tuple[LesionUniformDataset, ...] | None = None

    def get_tr_and_val_datasets(self):
        if self.sampling != "lesionuniform":
            return super().get_tr_and_val_datasets()
        if self._lesion_uniform is None:
            datasets = super().get_tr_and_val_datasets()
            lesions = self._find_lesions(sorted({case for dataset in datasets for case in dataset.identifiers}))
            self._lesion_uniform = tuple(
                LesionUniformDataset(dataset, lesions, self.label_manager) for dataset in datasets
            )
        return self._lesion_uniform

    def _find_lesions(self, identifiers: list[str]) -> dict[str, CaseLesions]:
        """The first process finds them, the others read what it has found."""
        for turn in (True, False):
            if (self.local_rank == 0) == turn:
                lesions = find_lesions(
                    self.preprocessed_dataset_folder,
                    identifiers,
                    labels_of(self.label_manager).channels,
                    processes=get_allowed_n_proc_DA(),
                )
            if self.is_ddp:
                dist.barrier()
        without = sum(len(case) == 0 for case in lesions.values())
        self.print_to_log_file(
            f"Forced patches are centred on one of {sum(map(len, lesions.values()))} lesions, drawn uniformly within "
            f"its case; {without} of {len(lesions)} cases have none."
        )
        return lesions
