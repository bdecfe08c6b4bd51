"""What patches hold of real lesions: docs/tau.md's figure, and the shares of lesions under both samplings.

python benchmarks/lesion_sampling.py SOOP/lesion_masks_mni_1mm.npz -o docs/tau.png
"""

import argparse
from pathlib import Path

import numpy as np
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from tqdm import tqdm

from nnunetv2_sizepenalty.lesions import SizeBins, component_voxels, label_components, voxels_to_ml
from nnunetv2_sizepenalty.sampling.choose_tau import volumes_in_patches, volumes_of_lesions
from nnunetv2_sizepenalty.sampling.lesion_locations import locate_lesions
from nnunetv2_sizepenalty.sampling.patch_volumes import PatchKind
from nnunetv2_sizepenalty.sampling.tau_figure import draw
from nnunetv2_sizepenalty.sampling.tau_report import TauReport

LABELS = LabelManager({"background": 0, "lesion": 1}, None)
# the thesis's recipe in its ISLES plan
PATCHES = (PatchKind((32, 112, 112), 0.7, True, 0.8), PatchKind((32, 64, 64), 1.0, True, 0.2))


class Masks:
    """Masks (z, y, x) in the manner of nnU-Net's preprocessed datasets."""

    def __init__(self, masks: dict[str, np.ndarray]):
        self.masks = masks
        self.identifiers = sorted(masks)

    def load_case(self, identifier: str) -> tuple:
        mask = self.masks[identifier][None]
        return None, mask, None, {"class_locations": {1: nnunets_locations(mask)}}


def nnunets_locations(mask: np.ndarray) -> np.ndarray:
    """The voxels that nnU-Net's preprocessing keeps of a mask (1, z, y, x)."""
    return DefaultPreprocessor._sample_foreground_locations(mask, [1])[1]


def shares_of_lesions(masks: dict[str, np.ndarray], spacing_mm: tuple[float, ...]) -> None:
    """Prints how often a forced patch is centred on a lesion of each size, and how many lesions never are."""
    bins = SizeBins()
    counts = np.zeros((4, len(bins.names)))
    for mask in tqdm(masks.values(), disable=None):
        components, n = label_components(mask)
        size = bins.index(voxels_to_ml(component_voxels(components, n), spacing_mm))
        kept = components[tuple(nnunets_locations(mask[None])[:, 1:].T)]
        listed = np.bincount(kept, minlength=n + 1)[1:]
        for row, weights in enumerate((np.ones(n), listed == 0, listed / listed.sum(), np.full(n, 1 / n))):
            counts[row] += np.bincount(size, weights, minlength=len(bins.names))
    lesions, lost, by_voxel, uniform = counts
    print(f"{len(masks)} cases, {lesions.sum():.0f} lesions, {lost.sum():.0f} not in nnU-Net's lists")
    print("size: lesions, their share, not in the lists, share of centres, with _lesionuniform")
    table = zip(
        bins.names, lesions, lesions / lesions.sum(), lost, by_voxel / len(masks), uniform / len(masks), strict=True
    )
    for name, n, share, never, centres, then in table:
        print(f"{name}: {n:.0f}, {share:.3f}, {never:.0f}, {centres:.3f}, {then:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("masks", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FIGURE")
    args = parser.parse_args()
    packed = np.load(args.masks)
    shape = tuple(packed["shape"])
    masks = {
        case: np.unpackbits(packed[case], count=int(np.prod(shape))).reshape(shape).transpose(2, 1, 0)
        for case in packed.files
        if case != "shape"
    }
    shares_of_lesions(masks, (1.0, 1.0, 1.0))
    coarse = {case: mask[::2, ::2, ::2] for case, mask in masks.items() if mask[::2, ::2, ::2].any()}
    report = TauReport(
        dataset="SOOP",
        plans="a 2 mm grid",
        configuration="32 x 112 x 112",
        fold="all",
        trainer="nnUNetTrainerDTS",
        n_cases=len(coarse),
        spacing_mm=(2.0, 2.0, 2.0),
        patches=volumes_in_patches(Masks(coarse), PATCHES, LABELS, batch_size=18),
        lesions=volumes_of_lesions(locate_lesions(mask, [[1]]) for mask in coarse.values()),
        per_lesion=False,
        tau=600.0,
    )
    for volumes in (report.patches, report.lesions):
        print(len(volumes.voxels), volumes.of, *report.rows(volumes), sep="\n  ")
    draw(report, args.output)


if __name__ == "__main__":
    main()
