"""One of two gloo processes that find lesions and tau together and look at their validation; prints it all as JSON.

Arguments: rank, file for the rendezvous, folder of preprocessed masks. The group gives up waiting after `TIMEOUT_S`,
and the first process takes longer to estimate.
"""

import json
import os
import sys
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from nnunetv2.training.dataloading.nnunet_dataset import infer_dataset_class
from torch import distributed

from nnunetv2_sizepenalty.sampling.patch_volumes import PatchKind
from nnunetv2_sizepenalty.trainers.lesion_sampling import LesionSampling
from nnunetv2_sizepenalty.trainers.pseudo_dice import all_predicted_empty
from nnunetv2_sizepenalty.trainers.tau import TauFromData

TIMEOUT_S, ESTIMATE_S = 6, 10


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
        time.sleep(ESTIMATE_S)
        return super()._volumes(dataset)


def validation(rank: int, *predicted: int) -> list[dict]:
    """Outputs of two steps; `predicted` is how many voxels each process found."""
    step = {"tp_hard": np.array([predicted[rank]]), "fp_hard": np.array([0]), "fn_hard": np.array([1])}
    return [{key: 0 * value for key, value in step.items()}, step]


def main(rank: int, rendezvous: str, folder: str) -> None:
    ready = [Path(f"{rendezvous}_{n}") for n in range(2)]
    ready[rank].touch()
    while not all(path.exists() for path in ready):  # imports may take longer than the timeout
        time.sleep(0.05)
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{rendezvous}",
        rank=rank,
        world_size=2,
        timeout=timedelta(seconds=TIMEOUT_S),
    )
    trainer = Trainer(rank, folder)
    _, tau = trainer._estimate_tau()
    lesions = trainer.get_tr_and_val_datasets()[0].lesions
    found = {
        "tau": tau,
        "coordinates": {case: of_case.coordinates.tolist() for case, of_case in lesions.items()},
        "empty": [all_predicted_empty(validation(rank, *predicted)) for predicted in ((0, 0), (0, 3), (3, 0))],
    }
    print(json.dumps(found))
    distributed.destroy_process_group()


if __name__ == "__main__":
    os.environ["nnUNet_n_proc_DA"] = "0"
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
