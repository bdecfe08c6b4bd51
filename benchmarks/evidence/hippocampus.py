"""Hippocampus: two labels of 1,700 voxels each, where nothing is small. Does the size penalty cost anything here?

    python benchmarks/evidence/hippocampus.py Dataset004_Hippocampus.zip -o WORK [--size smallest | cpu | gpu]

Goes on where it was interrupted; writes docs/results/hippocampus.md.
"""

from collections.abc import Mapping
from functools import partial

import numpy as np
from experiment import Evidence, Network, Size
from raw import unpack
from run import main

DATASET = "Dataset004_Hippocampus"


def views(channels: np.ndarray) -> Mapping[str, np.ndarray]:
    """MR signal has no unit: it counts in the image's standard deviations."""
    scaled = (channels[0] - channels[0].mean()) / channels[0].std()
    return {"signal": scaled, "−signal": -scaled}


HIPPOCAMPUS = Evidence(
    name="hippocampus",
    title="Hippocampus: where nothing is small",
    about=(
        "Task04 of the Medical Segmentation Decathlon (Antonelli et al. 2022, CC BY-SA 4.0): 217 MR volumes, anterior "
        "and posterior hippocampus. Does the size penalty cost anything where nothing is small? A quarter of the cases "
        "is drawn as the test part."
    ),
    dataset=DATASET,
    write_raw=partial(unpack, dataset=DATASET),
    sizes={
        "smallest": Size(
            "16 cases, two trainers, two repeats of 250 steps",
            Network((16, 24, 16), 2, (4, 8, 16)),
            epochs=1, cases=16, models=2, repeats=2,
        ),
        "cpu": Size(
            "60 cases, the matrix as it is, 1,250 steps a training", Network((24, 32, 24), 2, (8, 16, 32)), cases=60
        ),
        "gpu": Size("nnU-Net's own plan, 62,500 steps a training", None, epochs=250, device="cuda"),
    },
    views=views,
)  # fmt: skip

if __name__ == "__main__":
    main(HIPPOCAMPUS)
