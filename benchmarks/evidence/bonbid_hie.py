"""BONBID-HIE: real neonatal ADC with small, multifocal injuries, what the size penalty was made for; in 3D.

    python benchmarks/evidence/bonbid_hie.py Dataset006_BONBIDHIE.zip -o WORK [--size smallest | cpu | gpu]

Goes on where it was interrupted; writes docs/results/bonbid_hie.md.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from hashlib import sha256

import numpy as np
from experiment import PLANS, Evidence, Network, Size
from raw import unpack
from run import main

DATASET = "Dataset006_BONBIDHIE"
TEST_CASES = 12
# ADC has a unit, which nnU-Net's z-score of each case throws away and its scheme for CT keeps
CT_PLANS = "nnUNetEvidenceCTPlans"


def test_cases(cases: Sequence[str]) -> list[str]:
    """The first in the order of their names' SHA-256; of fewer cases a third."""
    order = sorted(cases, key=lambda case: sha256(case.encode()).hexdigest())
    return order[: min(TEST_CASES, len(cases) // 3)]


def views(channels: np.ndarray) -> Mapping[str, np.ndarray]:
    """Injury is low ADC; outside the brain it is 0."""
    return {"−ADC": np.where(channels[0] > 0, -channels[0], np.nan)}


BONBID = Evidence(
    name="bonbid_hie",
    title="BONBID-HIE: neonatal injuries on ADC",
    about=(
        "36 newborns, ADC in 1e-6 mm²/s, expert masks (Bao et al. 2023, CC BY-NC). Half of the cases hold less than a "
        "millilitre. The test part is the first 12 names in the order of their SHA-256. Lesions are few and a handful "
        "of cases holds nearly all of their voxels, so everything is per case."
    ),
    dataset=DATASET,
    write_raw=partial(unpack, dataset=DATASET),
    sizes={
        "smallest": Size(
            "10 cases, both normalisations of the baseline, two repeats of 250 steps",
            Network((16, 48, 48), 1, (4, 8, 16)),
            epochs=1, cases=10, models=1, repeats=2,
        ),
        "cpu": Size("the matrix as it is, 12,500 steps a training", Network((16, 40, 40), 2, (8, 16, 32, 64))),
        "gpu": Size("nnU-Net's own plan, 62,500 steps a training", None, epochs=250, device="cuda"),
    },
    views=views,
    test_cases=test_cases,
    plans={CT_PLANS: {"normalization_schemes": ["CTNormalization"], "use_mask_for_norm": [False]}, PLANS: {}},
)  # fmt: skip

if __name__ == "__main__":
    main(BONBID)
