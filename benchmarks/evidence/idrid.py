"""IDRiD: microaneurysms and hard exudates, thousands of lesions of 15 pixels in 54 real photographs, in 2D.

    python benchmarks/evidence/idrid.py train_quarter.zip -o WORK [--size smallest | cpu | gpu]

Goes on where it was interrupted; writes docs/results/idrid.md.
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from experiment import FOLDERS, Evidence, Network, Place, Size
from raw import keep_cases
from run import main
from scipy.ndimage import gaussian_filter

from nnunetv2_sizepenalty.errors import UserError

DATASET = "Dataset054_IDRiD"
# the black around the retina in grey values, and how far a lesion's surroundings reach in pixels
BLACK, SURROUNDINGS = 15, 12


def write_raw(archive: Path, place: Place, cases: int | None) -> None:
    """The two kinds of small lesions as labels 1 and 2, by benchmarks/idrid.py."""
    script, raw = Path(__file__).parents[1] / "idrid.py", place.folder / FOLDERS[0] / DATASET
    command = [sys.executable, script, archive, "-o", raw, "--kinds", "MA", "EX", "--overwrite"]
    if subprocess.run(list(map(str, command))).returncode:
        raise UserError(f"{archive}: could not be written as {DATASET}; benchmarks/idrid.py says what it has to hold")
    keep_cases(raw, cases)


def views(channels: np.ndarray) -> Mapping[str, np.ndarray]:
    """Microaneurysms are darker, exudates brighter than the retina, or than what is around them."""
    green = channels[0]
    beside = np.where(green > BLACK, green - gaussian_filter(green, (0, SURROUNDINGS, SURROUNDINGS)), np.nan)
    green = np.where(green > BLACK, green, np.nan)
    return {
        "green": green,
        "−green": -green,
        "green − its surroundings": beside,
        "its surroundings − green": -beside,
    }


IDRID = Evidence(
    name="idrid",
    title="IDRiD: microaneurysms and hard exudates",
    about=(
        "Fundus photographs at a quarter of their size, green channel (Porwal et al. 2018, CC BY 4.0). Lesions of 15 "
        "pixels by the thousand: does the size penalty, whole or per lesion, or sampling by lesions help where small "
        "ones are? A quarter of the photographs is drawn as the test part."
    ),
    dataset=DATASET,
    write_raw=write_raw,
    sizes={
        "smallest": Size(
            "10 photographs, two trainers, two repeats of 250 steps",
            Network((128, 128), 2, (4, 8, 16)),
            epochs=1, cases=10, models=2, repeats=2,
        ),
        "cpu": Size("the matrix as it is, 2,500 steps a training", Network((128, 128), 2, (8, 16, 32))),
        "gpu": Size("nnU-Net's own plan, 62,500 steps a training", None, epochs=250, device="cuda"),
    },
    views=views,
)  # fmt: skip

if __name__ == "__main__":
    main(IDRID)
