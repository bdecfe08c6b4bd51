"""Random pairs of label maps for the challenges' rules: 1 necrosis, 2 oedema, 3 enhancing, 4 cavity (BraTS-METS).

Whole numbers all through: every version of numpy and scipy makes the same masks.
"""

import numpy as np

REGIONS = {"WT": (1, 2, 3), "TC": (1, 3), "ET": (3,), "RC": (4,)}
SPACINGS = ((1.0, 1.0, 1.0), (3.0, 0.75, 0.75), (1.0, 1.5, 2.0))


def made_pair(seed: int) -> tuple[np.ndarray, np.ndarray, tuple[float, float, float]]:
    """A reference and a prediction, arrays (z, y, x) of uint8, and their spacing in mm. Of twenty seeds two have no
    enhancing lesion in the prediction, two none in the reference, one an empty reference, one equal masks; of forty,
    one has an empty prediction."""
    rng = np.random.default_rng([22, seed])
    shape = tuple(rng.integers(16, 34, size=3))
    passes = (1, 2, 3, 5)[seed // 3 % 4]
    per_mille = (8, 20, 50, 110)[rng.integers(4)]

    def field() -> np.ndarray:
        values = rng.integers(-1000, 1001, size=shape)
        for _ in range(passes):
            for axis in range(3):
                values = 2 * values + np.roll(values, 1, axis) + np.roll(values, -1, axis)
        return values

    def above(values: np.ndarray, share: int) -> np.ndarray:
        return values > np.sort(values, axis=None)[values.size * (1000 - share) // 1000]

    def label_map(where: np.ndarray, kind: np.ndarray, share: int) -> np.ndarray:
        # Nothing lies at the edge: there the order of lesions in BraTS 2024's code is that of the image cut off.
        inside = np.pad(np.ones(np.subtract(shape, 2), dtype=bool), 1)
        labels = np.full(shape, 4, dtype=np.uint8)
        for value, below in ((2, 100), (3, 450), (1, 750)):
            labels[above(kind, 1000 - below)] = value
        return np.where(above(where, share) & inside, labels, 0).astype(np.uint8)

    where, kind, noise, other = field(), field(), field(), field()
    mix = int(rng.integers(1, 15))
    reference = label_map(where, kind, per_mille)
    share = per_mille * int(rng.integers(10, 31)) // 20
    prediction = label_map(16 * where + mix * noise, 16 * kind + mix * other, share)
    if seed % 10 == 7:
        prediction[prediction == 3] = 0
    if seed % 10 == 8:
        reference[reference == 3] = 2
    if seed % 20 == 9:
        reference[:] = 0
    if seed % 40 == 19:
        prediction[:] = 0
    if seed % 20 == 4:
        prediction = reference.copy()
    return reference, prediction, SPACINGS[seed % 3]
