"""The floor: what one plain threshold on the image reaches, the best of all on the scored cases themselves.

Chosen on the cases that it is scored on, it flatters the threshold: a model that doesn't pass it has learnt nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import expit

from nnunetv2_sizepenalty.operating_point.count_case import CaseCounts
from nnunetv2_sizepenalty.operating_point.scores import case_scores

# shares of the voxels below a threshold, dense at both ends, since lesions fill a thousandth of an image
LEVELS = expit(np.linspace(-9, 9, 181))
SAMPLE = 200_000

# name -> image with NaN where no lesion can be: a lesion is where it is above a threshold; from channels (c, z, y, x)
Views = Callable[[np.ndarray], Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class Floor:
    """The best threshold for one label.

    Attributes:
        view: what it is on; a lesion is above `threshold` of it.
        dice: mean over the cases with a lesion; NaN where there are none.
        per_case: Dice of each case, NaN where it has no lesion.
    """

    view: str
    threshold: float
    dice: float
    per_case: np.ndarray


def counts_at(image: np.ndarray, reference: np.ndarray, thresholds: np.ndarray) -> CaseCounts:
    """Voxels above each threshold; the counts of lesions, which cost far more, are left at 0."""
    known = np.isfinite(image)
    above, hit = (
        len(values) - np.searchsorted(np.sort(values), thresholds, side="right")
        for values in (image[known], image[known & reference])
    )
    column = {name: np.zeros((len(thresholds), 1)) for name in CaseCounts.__dataclass_fields__}
    return CaseCounts(
        **column
        | {
            "true_positive": hit[:, None],
            "prediction": above[:, None],
            "reference": np.asarray(reference.sum()),
            "n_reference": np.asarray(0),
        }
    )


def candidates(values: Sequence[np.ndarray]) -> np.ndarray:
    """Thresholds worth trying: evenly spaced in the values' range, and at their quantiles."""
    share = max(1, sum(map(len, values)) // SAMPLE)
    sample = np.concatenate([of_case[::share] for of_case in values])
    return np.unique([*np.linspace(sample.min(), sample.max(), len(LEVELS)), *np.quantile(sample, LEVELS)])


def best_threshold(view: str, images: Sequence[np.ndarray], references: Sequence[np.ndarray]) -> Floor:
    """The best threshold on one view.

    Args:
        images: of each case, NaN where no lesion can be.
        references: boolean, the same shapes. Lesion-free cases don't choose: Dice is 0 there or undefined.
    """
    with_lesion = np.array([reference.any() for reference in references])
    per_case = np.full(len(references), np.nan)
    if not with_lesion.any():
        return Floor(view, np.nan, np.nan, per_case)
    kept = [(image, reference) for image, reference in zip(images, references, strict=True) if reference.any()]
    thresholds = candidates([image[np.isfinite(image)] for image, _ in kept])
    counts = [counts_at(image, reference, thresholds) for image, reference in kept]
    dice = np.stack([case_scores(case)["dice"][:, 0] for case in counts])
    means = dice.mean(axis=0)
    best = int(np.nanargmax(means))
    per_case[with_lesion] = dice[:, best]
    return Floor(view, float(thresholds[best]), float(means[best]), per_case)


def find_floors(cases: Mapping[str, tuple[Sequence[Path], Path]], settings: Mapping, views: Views) -> dict[str, Floor]:
    """Label -> its floor, the best of all views.

    Args:
        cases: case -> its images, channel by channel, and its reference; per_case comes in this order.
        settings: nnU-Net's dataset.json, with plain labels.
    """
    from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_dataset_json

    images: dict[str, list[np.ndarray]] = {}
    masks: list[np.ndarray] = []
    example = next(iter(cases.values()))[1]
    reader = determine_reader_writer_from_dataset_json(settings, str(example), True, verbose=False)()
    for channels, reference in cases.values():
        for name, view in views(reader.read_images([str(path) for path in channels])[0]).items():
            images.setdefault(name, []).append(view)
        masks.append(reader.read_seg(str(reference))[0][0])
    floors = {}
    for label, value in settings["labels"].items():
        if label == "background":
            continue
        references = [mask == value for mask in masks]
        found = [best_threshold(name, of_view, references) for name, of_view in images.items()]
        floors[label] = max(found, key=lambda floor: floor.dice)
    return floors
