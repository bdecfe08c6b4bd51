"""The figures of docs/phantom.md: the phantom's images, lesions, threshold floor and time, beside a real case.

python benchmarks/phantom.py --cases 60 [--shape Z Y X] [--spacing Z Y X] [--anatomy mni] [--lesions MASKS_DIR]
                             [--real ISLES_DIR] [--picture FILE.png]
"""

import argparse
import time
from pathlib import Path

import nibabel as nib
import numpy as np

from nnunetv2_sizepenalty.lesions import component_voxels, label_components, voxels_to_ml
from nnunetv2_sizepenalty.phantom import generate_case
from nnunetv2_sizepenalty.phantom.dataset import ANATOMIES
from nnunetv2_sizepenalty.phantom.lesion_masks import MaskFolder
from nnunetv2_sizepenalty.phantom.lesion_shapes import EllipsoidLesions
from nnunetv2_sizepenalty.phantom.mask_lesions import MaskLesions
from nnunetv2_sizepenalty.phantom.parameters import DEFAULTS

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
LOSS_BINS_ML = (0, 0.008, 0.02, 0.05, 0.1, 1, np.inf)


class Recorded:
    """A source of lesions that keeps the volumes it planned."""

    def __init__(self, source):
        self.source, self.volumes_ml = source, []

    def plan(self, rng, subject):
        planned = self.source.plan(rng, subject)
        self.volumes_ml += [lesion.volume_ml for lesion in planned]
        return planned


def image_figures(adc, dwi, mask, spacing_mm):
    """Numbers of one case by name; DWI over its median in the brain."""
    brain = dwi > 0
    dwi = dwi / np.median(dwi[brain])
    figures = {f"DWI / median, {p} %": np.percentile(dwi[brain], p) for p in PERCENTILES}
    figures |= {f"ADC, {p} %": np.percentile(adc[brain], p) for p in PERCENTILES}
    figures["share with ADC > 1.5"] = (adc[brain] > 1.5).mean()
    figures["share with ADC > 2.5"] = (adc[brain] > 2.5).mean()
    figures["brain, mL"] = voxels_to_ml(brain.sum(), spacing_mm)
    for p in (5, 50, 95):
        figures[f"lesion ADC, {p} %"] = np.percentile(adc[mask], p)
        figures[f"lesion DWI / median, {p} %"] = np.percentile(dwi[mask], p)
    return figures


def read_real(folder):
    """ADC, DWI, mask (z, y, x) and spacing of the first case below an ISLES 2022 folder."""
    images = {role: nib.load(sorted(Path(folder).rglob(f"*_{role}.nii.gz"))[0]) for role in ("adc", "dwi", "msk")}
    adc, dwi, mask = (image.get_fdata().transpose(2, 1, 0) for image in images.values())
    return adc, dwi, mask > 0, tuple(map(float, images["adc"].header.get_zooms()[::-1]))


def lesion_sizes(mask, spacing_mm):
    """mL of each lesion of a mask; 26-connected, as the cohort's are counted."""
    return voxels_to_ml(component_voxels(*label_components(mask, 26)), spacing_mm)


def print_sizes(sizes):
    """Percentiles of lesion volumes and numbers; `sizes` holds an array of mL for each case."""
    totals, numbers = np.array([s.sum() for s in sizes]), np.array([len(s) for s in sizes])
    print("labelled mL a case, 5/25/50/75/95 %:", np.percentile(totals, (5, 25, 50, 75, 95)).round(2))
    print("lesions a case, 25/50/75/95 %:", np.percentile(numbers, (25, 50, 75, 95)))
    print("mL of one lesion, 25/50/75/90 %:", np.percentile(np.concatenate(sizes), (25, 50, 75, 90)).round(2))
    print(
        f"share of cases with one lesion {(numbers == 1).mean():.2f}, with none {(numbers == 0).mean():.2f}, "
        f"with less than 1 mL {(totals < 1).mean():.2f}"
    )


def print_lost(planned_ml, cases):
    """How many planned lesions are in no label, by planned volume."""
    kept_ml = [lesion.volume_ml for case in cases for lesion in case.lesions]
    planned, kept = (np.histogram(v, LOSS_BINS_ML)[0] for v in (planned_ml, kept_ml))
    for low, high, n, k in zip(LOSS_BINS_ML, LOSS_BINS_ML[1:], planned, kept, strict=False):
        print(f"lost of {n:5} lesions of {low:g} to {high:g} mL: {n - k}")
    print(f"lost of all {planned.sum()}: {planned.sum() - kept.sum()} ({1 - kept.sum() / planned.sum():.0%})")


def mean_dice(images, masks, thresholds):
    """Mean Dice of the best single threshold for all cases."""
    scores = [
        np.mean([2 * (m & (i > t)).sum() / ((i > t).sum() + m.sum()) for i, m in zip(images, masks, strict=True)])
        for t in thresholds
    ]
    return max(scores)


def picture(cases, path):
    """DWI and ADC at four levels below the vertex, a case a row."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(len(cases), 8, figsize=(24, 3.2 * len(cases)), squeeze=False)
    for row, (adc, dwi, _, spacing_mm) in zip(axes, cases, strict=True):
        top = np.flatnonzero((dwi > 0).any((1, 2)))[-1]
        for column, below_mm in enumerate((95, 76, 60, 32)):
            z = max(0, top - round(below_mm / spacing_mm[0]))
            aspect = spacing_mm[1] / spacing_mm[2]
            dwi_range = {"vmin": 0, "vmax": 2.2 * np.median(dwi[dwi > 0])}
            row[column].imshow(dwi[z], origin="lower", cmap="gray", aspect=aspect, **dwi_range)
            row[column + 4].imshow(adc[z], origin="lower", cmap="gray", aspect=aspect, vmin=0, vmax=3)
    for axis in axes.ravel():
        axis.axis("off")
    figure.tight_layout(pad=0.2)
    figure.savefig(path, dpi=60)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shape", type=int, nargs=3)
    parser.add_argument("--spacing", type=float, nargs=3)
    parser.add_argument("--anatomy", choices=ANATOMIES, default="analytic")
    parser.add_argument("--lesions", help="folder of real lesion masks")
    parser.add_argument("--real", help="folder with a case in ISLES 2022's layout")
    parser.add_argument("--picture", help="PNG: the real case above three phantoms")
    args = parser.parse_args()

    masks = MaskFolder.open(args.lesions) if args.lesions else None
    anatomy = ANATOMIES[args.anatomy]()
    start, cases, planned_ml = time.process_time(), [], []
    for i in range(1, args.cases + 1):
        source = (
            MaskLesions.of_case(masks, args.seed, i, DEFAULTS.masks)
            if masks
            else EllipsoidLesions(DEFAULTS.sizes, DEFAULTS.lesions)
        )
        recorded = Recorded(source)
        cases.append(generate_case(args.seed, i, args.shape, args.spacing, anatomy=anatomy, lesions=recorded))
        planned_ml += recorded.volumes_ml
    print(f"{(time.process_time() - start) / args.cases:.2f} s of CPU a case")
    data = [(c.adc, c.dwi, c.mask > 0, c.spacing_mm) for c in cases]
    figures = [image_figures(*d) for d in data if d[2].any()]
    real = read_real(args.real) if args.real else None
    real_figures = image_figures(*real) if real else {}
    print(f"{'':28}{'real':>8}{'phantom, 10 / 50 / 90 % of cases':>36}")
    for name in figures[0]:
        low, middle, high = np.percentile([f[name] for f in figures], (10, 50, 90))
        print(f"{name:28}{real_figures.get(name, np.nan):8.2f}{low:16.2f}{middle:10.2f}{high:10.2f}")

    print("phantom:")
    print_sizes([lesion_sizes(d[2], d[3]) for d in data])
    print_lost(planned_ml, cases)
    if masks:
        print(f"the {len(masks.names)} masks themselves:")
        print_sizes([lesion_sizes(m.voxels, m.spacing_mm) for m in map(masks.read, masks.names)])
    labels = [d[2] for d in data]
    print(f"best fixed DWI threshold: mean Dice {mean_dice([d[1] for d in data], labels, range(100, 1500, 20)):.2f}")
    relative = [d[1] / np.median(d[1][d[1] > 0]) for d in data]
    print(f"the same on DWI / median: mean Dice {mean_dice(relative, labels, np.arange(1, 4, 0.05)):.2f}")
    if args.picture:
        picture(([real] if real else []) + data[:3], args.picture)


if __name__ == "__main__":
    main()
