"""Phantom of real masks: the thesis's fifteen combinations and four values of tau, on strokes with known truth.

    python benchmarks/evidence/phantom.py MASKS -o WORK [--size smallest | cpu | gpu]

MASKS is a folder of stroke masks in MNI space, as `phantom --lesions` takes it. Goes on where it was interrupted;
writes docs/results/phantom.md.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from experiment import OURS, Evidence, Network, Place, Size
from run import main

from nnunetv2_sizepenalty.mismatch import CHANNELS

DATASET = "Dataset055_PhantomMNI"
CASES, SEED = 45, 7
SHAPE, SPACING_MM = (48, 64, 64), (3, 3, 3)


def write_raw(masks: Path, place: Place, cases: int | None) -> None:
    """A series of phantoms, converted as ISLES 2022 is."""
    phantom = place.folder / "phantom"
    place.run(
        "phantom",
        *(OURS, "phantom", "-o", phantom, "--cases", cases or CASES, "--seed", SEED, "--anatomy", "mni"),
        *("--lesions", masks, "--shape", *SHAPE, "--spacing", *SPACING_MM, "--processes", 1, "--overwrite"),
    )
    number, name = DATASET.removeprefix("Dataset").split("_")
    command = (OURS, "convert", "isles22", phantom, "-d", number, "-n", name, "--processes", 1, "--overwrite")
    place.run("convert", *command)


def test_cases(cases: Sequence[str]) -> list[str]:
    """The last two fifths of the series: no case shares its main lesion with another before all masks have led one."""
    return sorted(cases)[-(2 * len(cases) // 5) :]


def planner(place: Place, network: Network | None) -> None:
    """This package's plan, with its small patches."""
    sizes = () if network is None else ("--patch", *network.patch_size, "--batch", network.batch_size)
    place.run("plan", OURS, "plan", "-d", DATASET[7:10], *sizes, "--processes", 1)


def views(channels: np.ndarray) -> Mapping[str, np.ndarray]:
    """DWI over its median in the brain, and the mismatch; DWI is 0 outside."""
    dwi, mismatch = channels[CHANNELS["dwi"]], channels[CHANNELS["mismatch"]]
    brain = dwi > 0
    return {
        "DWI over its median": np.where(brain, dwi / np.median(dwi[brain]), np.nan),
        "mismatch": np.where(brain, mismatch, np.nan),
    }


PHANTOM = Evidence(
    name="phantom",
    title="Phantom of real masks: fifteen combinations",
    about=(
        "Strokes of the SOOP cohort (CC0) in MNI anatomy, 3 mm (`docs/phantom.md`), with the thesis's own recipe and "
        "network at a small size. The last two fifths of the series are the test part. A phantom tells which way an "
        "effect points, and nothing of patients."
    ),
    dataset=DATASET,
    write_raw=write_raw,
    sizes={
        "smallest": Size(
            "15 cases, two combinations, two repeats of one epoch",
            Network((16, 32, 32), 2, (8, 16, 32)),
            epochs=1, cases=15, models=2, repeats=2,
        ),
        # whole volumes: on one thread a CPU is slow with small patches one at a time
        "cpu": Size("the matrix as it is, 440 steps a training", Network((48, 64, 48), 1, (8, 16, 32))),
        "gpu": Size("400 cases, the plan of `plan`, 400 epochs", None, epochs=400, cases=400, device="cuda"),
    },
    views=views,
    test_cases=test_cases,
    planner=planner,
)  # fmt: skip

if __name__ == "__main__":
    main(PHANTOM)
