"""How far a resampled mismatch channel is from the formula on the resampled ADC and DWI.

nnU-Net resamples what conversion stored, channel by channel, with cubic splines; during prediction nothing recomputes
the mismatch. Usage:

    python benchmarks/mismatch_resampling.py ADC.nii.gz DWI.nii.gz
"""

import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg_to_shape

from nnunetv2_sizepenalty.dataset_conversion import Channels, make_images
from nnunetv2_sizepenalty.dataset_conversion.volumes import read_volume
from nnunetv2_sizepenalty.mismatch import CHANNELS, mismatch_of


def main(adc: str, dwi: str) -> None:
    images = make_images(read_volume(Path(adc), "ADC"), read_volume(Path(dwi), "DWI"), Channels())
    stored = np.stack([sitk.GetArrayFromImage(image) for image in images])
    spacing = np.array(images[0].GetSpacing()[::-1])
    print(f"case of {' x '.join(f'{s:g}' for s in spacing)} mm (z, y, x)")
    print("| plan's spacing, mm | mean | 99th percentile | max |\n|---|---|---|---|")
    for target in ([2, 2, 2], [3, 2, 2], [2, 1.5, 1.5], [3, 3, 3]):
        shape = np.round(np.array(stored.shape[1:]) * spacing / target).astype(int)
        resampled = resample_data_or_seg_to_shape(
            stored, shape, spacing, target, is_seg=False, order=3, order_z=0, force_separate_z=None
        )
        formula = mismatch_of(resampled[CHANNELS["adc"]], resampled[CHANNELS["dwi"]])
        error = np.abs(resampled[CHANNELS["mismatch"]] - formula)
        print(f"| {target} | {error.mean():.4f} | {np.percentile(error, 99):.4f} | {error.max():.4f} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
