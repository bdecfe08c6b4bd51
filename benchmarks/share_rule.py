"""The share rule's figures in docs/evaluation.md and docs/decisions.md: its time beside any overlap, and its limits.

OMP_NUM_THREADS=1 python benchmarks/share_rule.py speed [--cases 5]     # on the phantom
OMP_NUM_THREADS=1 python benchmarks/share_rule.py limits [--cases 6]
"""

import argparse
import time

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import expit

from nnunetv2_sizepenalty.curves.froc_case import FrocRules, score_curve
from nnunetv2_sizepenalty.evaluation import formulas
from nnunetv2_sizepenalty.evaluation.protocols import SHARE, Protocol, Rule
from nnunetv2_sizepenalty.lesions import SizeBins
from nnunetv2_sizepenalty.phantom import generate_case

HUNDRED = tuple(expit(np.linspace(-11.5, 11.5, 100)))
SHAPE, SPACING_MM = (32, 48, 48), (1.0, 1.0, 1.0)


def speed(cases: int) -> None:
    """CPU time of `froc` on phantom cases, the blurred truth under noise as the map, at 100 thresholds."""
    times = {"share": [], "overlap": []}
    for index in range(cases):
        case = generate_case(0, index)
        noise = gaussian_filter(np.random.default_rng(index).normal(size=case.mask.shape), 1)
        logits = 10 * gaussian_filter(case.mask.astype(float), 1) - 6 + 2 * noise / noise.std()
        probability = np.where(case.dwi > 0, expit(logits), 0).astype(np.float32)
        for name, rule in (("share", SHARE), ("overlap", Rule())):
            rules = FrocRules(Protocol(detection=rule), SizeBins(), HUNDRED)
            times[name].append(min(_seconds(probability, case.mask > 0, case.spacing_mm, rules) for _ in range(3)))
        print(f"case {index}: share {times['share'][-1]:.2f} s, overlap {times['overlap'][-1]:.2f} s", flush=True)
    share, overlap = map(sum, times.values())
    print(f"{cases} cases at 100 thresholds: share / overlap = {share / overlap:.2f}")


def _seconds(probability: np.ndarray, reference: np.ndarray, spacing_mm, rules: FrocRules) -> float:
    start = time.process_time()
    score_curve(probability, reference, spacing_mm, rules, None)
    return time.process_time() - start


def limits(cases: int) -> None:
    """Maps that know nothing and yet find lesions, because these fill much of what is predicted."""
    print("constant map, cubes in cells of 8 voxels a side: average precision by the cubes' side")
    for side in range(1, 7):
        mask = np.zeros((16, 24, 24), dtype=bool)
        for corner in np.ndindex(2, 3, 3):
            mask[tuple(slice(8 * c + (8 - side) // 2, 8 * c + (8 - side) // 2 + side) for c in corner)] = True
        rim = (side + 2) ** 3 - side**3
        print(
            f"  {side}: {side**3 / 512:5.1%} of the cell, {side**3 / (512 - rim):5.1%} without the rim: "
            f"{_average_precision([(mask, np.full(mask.shape, 0.5))], (0.1,)):.2f}"
        )
    thresholds = tuple(np.unique(np.float32(1 - np.geomspace(0.9, 1e-4, 100))).tolist())
    print(f"noise of rank, mean of {cases} cases of one ball")
    for radius in (2, 4, 8, 12):
        mask = sum((a - n // 2) ** 2 for a, n in zip(np.ogrid[:32, :48, :48], SHAPE, strict=True)) <= radius**2
        values = [_average_precision([(mask, _noise(seed))], thresholds) for seed in range(cases)]
        print(f"  of {mask.sum()} voxels, {mask.mean():.2%} of the image: average precision {np.mean(values):.2f}")


def _noise(seed: int) -> np.ndarray:
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=SHAPE), 1)
    return (np.argsort(np.argsort(noise, axis=None)) / noise.size).reshape(SHAPE)


def _average_precision(pairs, thresholds: tuple[float, ...]) -> float:
    rules = FrocRules(Protocol(detection=SHARE), SizeBins(), thresholds)
    curves = [score_curve(p.astype(np.float32), mask, SPACING_MM, rules, None) for mask, p in pairs]
    lesions, detected, false_positives = (
        sum(of) for of in zip(*((c.lesions[0], c.detected[:, 0], c.false_positives[:, 0]) for c in curves), strict=True)
    )
    precision = formulas.detection_precision(detected, false_positives).value
    return formulas.interpolated_area(formulas.sensitivity(detected, lesions).value, precision)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "limits"))
    parser.add_argument("--cases", type=int)
    arguments = parser.parse_args()
    {"speed": speed, "limits": limits}[arguments.what](arguments.cases or {"speed": 5, "limits": 6}[arguments.what])
