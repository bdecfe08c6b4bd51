"""How long a report takes and how large it gets: 20,000 components in ten cases, and 1,000 cases.

OMP_NUM_THREADS=1 python benchmarks/report.py components [--count 20000]
OMP_NUM_THREADS=1 python benchmarks/report.py cases [--count 1000]
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from nnunetv2_sizepenalty.evaluation import evaluate_folder
from nnunetv2_sizepenalty.report import write_report

LIMIT_S, LIMIT_MB = 60, 10
SHAPE, SPACING_MM = (73, 112, 112), (2.0, 2.0, 2.0)
# On a grid of every fourth voxel no two components touch.
STEP = 4


def head(shape: tuple[int, int, int]) -> np.ndarray:
    """An ellipsoid that fills most of the volume."""
    axes = [np.linspace(-1, 1, n) for n in shape]
    return sum(a**2 for a in np.meshgrid(*axes, indexing="ij")) < 0.8


def write_case(folder: Path, name: str, components: int, shape: tuple[int, int, int], seed: int) -> None:
    """Specks of 1 to 3 voxels in a noisy head; four in five are predicted, a fifth of the prediction is false."""
    rng = np.random.default_rng(seed)
    inside = head(shape)
    places = np.argwhere(inside[::STEP, ::STEP, ::STEP]) * STEP
    places = places[rng.permutation(len(places))[:components]]
    masks = {"reference": np.zeros(shape, np.uint8), "prediction": np.zeros(shape, np.uint8)}
    for place, draw in zip(places, rng.random(len(places)), strict=True):
        z, y, x = place
        for part, holds in (("reference", draw < 0.8), ("prediction", draw > 0.2)):
            masks[part][z, y, x : x + 1 + int(draw * 10) % 3] = holds
    image = np.where(inside, rng.normal(100, 10, shape) + 60 * masks["reference"], rng.normal(0, 2, shape))
    parts = {**masks, "images": image.astype(np.float32)}
    for part, array in parts.items():
        (folder / part).mkdir(exist_ok=True)
        volume = sitk.GetImageFromArray(array)
        volume.SetSpacing(SPACING_MM[::-1])
        ending = "_0000.nii.gz" if part == "images" else ".nii.gz"
        sitk.WriteImage(volume, folder / part / f"{name}{ending}", True)


def measure(what: str, cases: int, components: int, shape: tuple[int, int, int]) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for seed in range(cases):
            write_case(folder, f"case_{seed:04d}", components, shape, seed)
        start = time.perf_counter()
        evaluation = evaluate_folder(folder / "reference", folder / "prediction")
        scored = time.perf_counter()
        page = write_report(
            folder / "out",
            evaluation,
            reference_folder=folder / "reference",
            prediction_folder=folder / "prediction",
            images_folder=folder / "images",
        )
        seconds, size = time.perf_counter() - scored, page.stat().st_size / 1e6
    print(
        f"{what}: {len(evaluation.cases):,} cases, {len(evaluation.lesions):,} components, scored in "
        f"{scored - start:.0f} s; report {seconds:.1f} s ({seconds / LIMIT_S:.2f} of the limit), "
        f"{size:.1f} MB ({size / LIMIT_MB:.2f} of the limit)"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("components", "cases"))
    parser.add_argument("--count", type=int)
    arguments = parser.parse_args()
    if arguments.what == "components":
        measure("components", 10, (arguments.count or 20_000) // 10, SHAPE)
    else:
        measure("cases", arguments.count or 1000, 20, (40, 96, 96))
