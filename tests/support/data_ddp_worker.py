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
from preprocessed_masks import LABELS
from torch import distributed

from nnunetv2_sizepenalty.sampling.patch_volumes import PatchKind
from nnunetv2_sizepenalty.trainers.lesion_sampling import lesion_uniform
from nnunetv2_sizepenalty.trainers.pseudo_dice import all_predicted_empty
from nnunetv2_sizepenalty.trainers.tau import estimate_tau

TIMEOUT_S, ESTIMATE_S = 6, 10


class SlowDataset:
    """A dataset whose cases take their time."""

    def __init__(self, dataset):
        self.dataset, self.identifiers = dataset, dataset.identifiers

    def load_case(self, identifier):
        assert distributed.get_rank() == 0, "the others are told"
        time.sleep(ESTIMATE_S / len(self.identifiers))
        return self.dataset.load_case(identifier)


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
    dataset = infer_dataset_class(folder)(folder)
    (dataset, _), _ = lesion_uniform((dataset, dataset), folder, LABELS)
    configuration = SimpleNamespace(patch_size=(4, 8, 8), batch_size=2)
    kinds = (PatchKind(configuration.patch_size, 0.7, True),)
    _, tau = estimate_tau(SlowDataset(dataset), folder, kinds, LABELS, configuration, per_lesion=False)
    found = {
        "tau": tau,
        "coordinates": {case: of_case.coordinates.tolist() for case, of_case in dataset.lesions.items()},
        "empty": [all_predicted_empty(validation(rank, *predicted)) for predicted in ((0, 0), (0, 3), (3, 0))],
    }
    print(json.dumps(found))
    distributed.destroy_process_group()


if __name__ == "__main__":
    os.environ["nnUNet_n_proc_DA"] = "0"
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
