"""What the declared differences of L and B from their authors' code change, on real stroke masks at 2 mm.

    python benchmarks/lesion_terms.py lesion_masks_mni_1mm.npz    # SOOP's: `shape`, and packed bits for each case

Prediction: the logits -4 everywhere and 2 inside the lesions, with noise of standard deviation 2. Three changes, one at
a time: Dice without smoothing, lesions of 26 neighbours in place of 18, and at half the resolution lesions and cells
found anew in place of those of full resolution, downsampled.
"""

import argparse

import numpy as np
import torch
from torch.nn.functional import interpolate

from nnunetv2_sizepenalty.lesions import label_components, lesion_cells
from nnunetv2_sizepenalty.losses import Parameters, build_loss


def masks(path: str, cases: int):
    """Masks of the first cases at 2 mm, cut to 16 voxels around their lesions."""
    file = np.load(path)
    for name in [name for name in file if name != "shape"][:cases]:
        bits = np.unpackbits(file[name])[: np.prod(file["shape"])].reshape(file["shape"])
        mask = bits[::2, ::2, ::2] > 0
        if mask.any():
            where = np.argwhere(mask)
            yield mask[tuple(map(slice, np.maximum(where.min(0) - 16, 0), where.max(0) + 17))]


def value(letter: str, logits: torch.Tensor, mask: torch.Tensor, cells: torch.Tensor, smooth: float = 1e-5) -> float:
    loss = build_loss(letter, regions=True, parameters=Parameters(smooth=smooth))
    return loss(logits, torch.stack([mask.float(), cells.float()])[None]).item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("masks")
    parser.add_argument("--cases", type=int, default=60)
    args = parser.parse_args()
    changes = {(letter, what): [] for letter in "LB" for what in ("smoothing", "neighbours", "coarse cells")}
    lesions = np.zeros(2, dtype=int)
    draw = torch.Generator().manual_seed(0)
    for mask in masks(args.masks, args.cases):
        cells = torch.from_numpy(lesion_cells(mask))
        truth = torch.from_numpy(mask)
        logits = (6.0 * truth - 4 + 2 * torch.randn(mask.shape, generator=draw))[None, None]
        labels, n = label_components(mask, connectivity=26)
        lesions += (int(cells.max()), n)
        shape = [-(-side // 2) for side in mask.shape]
        coarse = [interpolate(t.float()[None, None], shape, mode="nearest-exact")[0, 0] for t in (truth, cells)]
        half = interpolate(logits, shape, mode="nearest-exact")
        anew = torch.from_numpy(lesion_cells(coarse[0].numpy()))
        # cells of 26 neighbours: those of lesions that are one there, joined
        joined = torch.zeros(int(cells.max()) + 1, dtype=torch.long)
        joined[cells[truth].long()] = torch.from_numpy(labels.astype(np.int64))[truth]
        for letter in "LB":
            own = value(letter, logits, truth, cells)
            changes[letter, "smoothing"].append(value(letter, logits, truth, cells, smooth=0.0) / own - 1)
            changes[letter, "neighbours"].append(value(letter, logits, truth, joined[cells.long()]) / own - 1)
            if coarse[0].any():
                ratio = value(letter, half, coarse[0], anew) / value(letter, half, *coarse)
                changes[letter, "coarse cells"].append(ratio - 1)
    print(f"{len(changes['L', 'smoothing'])} masks, {lesions[0]} lesions of 18 neighbours, {lesions[1]} of 26")
    for (letter, what), values in changes.items():
        size = np.abs(values)
        print(f"{letter}, {what}: median change {np.median(size):.2g}, highest {size.max():.2g}, {len(size)} masks")


if __name__ == "__main__":
    main()
