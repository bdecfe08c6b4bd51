"""One of two gloo processes that find lesions and tau together; prints them as JSON.

Arguments: rank, file for the rendezvous, folder of preprocessed masks.
"""

import json
import os
import sys
from types import SimpleNamespace

from nnunetv2.training.dataloading.nnunet_dataset import infer_dataset_class
from torch import distributed

from nnunetv2_sizepenalty.sampling.patch_volumes import PatchKind
from nnunetv2_sizepenalty.trainers.lesion_sampling import LesionSampling
from nnunetv2_sizepenalty.trainers.tau import TauFromData


class Folder:
    """What the mixins need of nnUNetTrainer."""

    is_ddp = True
    per_lesion = False
    configuration_manager = SimpleNamespace(patch_size=(4, 8, 8), batch_size=2)

    def __init__(self, rank: int, folder: str):
        from preprocessed_masks import LABELS

        self.local_rank, self.preprocessed_dataset_folder, self.label_manager = rank, folder, LABELS

    def get_tr_and_val_datasets(self):
        dataset = infer_dataset_class(self.preprocessed_dataset_folder)(self.preprocessed_dataset_folder)
        return dataset, dataset

    def patch_kinds(self, configuration):
        return (PatchKind(configuration.patch_size, 0.7, True),)

    def print_to_log_file(self, *text):
        pass


class Trainer(TauFromData, LesionSampling, Folder):
    sampling = "lesionuniform"
    tau_auto = True

    def _volumes(self, dataset):
        assert self.local_rank == 0, "the others are told"
        return super()._volumes(dataset)


def main(rank: int, rendezvous: str, folder: str) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    trainer = Trainer(rank, folder)
    _, tau = trainer._estimate_tau()
    lesions = trainer.get_tr_and_val_datasets()[0].lesions
    print(
        json.dumps({"tau": tau, "coordinates": {case: found.coordinates.tolist() for case, found in lesions.items()}})
    )
    distributed.destroy_process_group()


if __name__ == "__main__":
    os.environ["nnUNet_n_proc_DA"] = "0"
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
