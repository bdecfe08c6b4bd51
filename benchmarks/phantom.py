"""The figures of docs/phantom.md: the phantom's images, lesions, threshold floor and time, beside a real case.

python benchmarks/phantom.py --cases 60 [--shape Z Y X] [--spacing Z Y X] [--real ISLES_DIR] [--picture FILE.png]
"""

import argparse
import time
from pathlib import Path

import nibabel as nib
import numpy as np

from nnunetv2_sizepenalty.lesions import component_voxels, label_components, voxels_to_ml
from nnunetv2_sizepenalty.phantom import generate_case

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)


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
    parser.add_argument("--real", help="folder with a case in ISLES 2022's layout")
    parser.add_argument("--picture", help="PNG: the real case above three phantoms")
    args = parser.parse_args()

    start = time.process_time()
    cases = [generate_case(args.seed, i, args.shape, args.spacing) for i in range(1, args.cases + 1)]
    print(f"{(time.process_time() - start) / args.cases:.2f} s of CPU a case")
    data = [(c.adc, c.dwi, c.mask > 0, c.spacing_mm) for c in cases]
    figures = [image_figures(*d) for d in data if d[2].any()]
    real = read_real(args.real) if args.real else None
    real_figures = image_figures(*real) if real else {}
    print(f"{'':28}{'real':>8}{'phantom, 10 / 50 / 90 % of cases':>36}")
    for name in figures[0]:
        low, middle, high = np.percentile([f[name] for f in figures], (10, 50, 90))
        print(f"{name:28}{real_figures.get(name, np.nan):8.2f}{low:16.2f}{middle:10.2f}{high:10.2f}")

    spacing_mm = cases[0].spacing_mm
    sizes = [voxels_to_ml(component_voxels(*label_components(d[2], 26)), spacing_mm) for d in data]
    totals, numbers = np.array([s.sum() for s in sizes]), np.array([len(s) for s in sizes])
    print("labelled mL a case, 5/25/50/75/95 %:", np.percentile(totals, (5, 25, 50, 75, 95)).round(2))
    print("lesions a case, 25/50/75/95 %:", np.percentile(numbers, (25, 50, 75, 95)))
    print("mL of one lesion, 25/50/75/90 %:", np.percentile(np.concatenate(sizes), (25, 50, 75, 90)).round(2))
    print(
        f"share of cases with one lesion {(numbers == 1).mean():.2f}, with none {(numbers == 0).mean():.2f}, ", end=""
    )
    print(f"with less than 1 mL {(totals < 1).mean():.2f}")
    masks = [d[2] for d in data]
    print(f"best fixed DWI threshold: mean Dice {mean_dice([d[1] for d in data], masks, range(100, 1500, 20)):.2f}")
    relative = [d[1] / np.median(d[1][d[1] > 0]) for d in data]
    print(f"the same on DWI / median: mean Dice {mean_dice(relative, masks, np.arange(1, 4, 0.05)):.2f}")
    if args.picture:
        picture(([real] if real else []) + data[:3], args.picture)


if __name__ == "__main__":
    main()
