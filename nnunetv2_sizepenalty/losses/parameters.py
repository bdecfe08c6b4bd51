"""What else a combination leaves open, as one value: parameters of its terms, the weight of small lesions' voxels.

Needs no torch, so that the grammar of trainers' names can make it.
"""

from dataclasses import dataclass
from typing import Any, Final

from nnunetv2_sizepenalty.losses.size_term import SMOOTH

# the thesis's (table A.1)
FALSE_NEGATIVES: Final = 0.7
GAMMA: Final = 2.0
ALPHA: Final = 0.25


@dataclass(frozen=True)
class Parameters:
    """Parameters of the terms, the thesis's unless told otherwise.

    Attributes:
        smooth: added above and below in D and T.
        false_negatives: T's weight of a false negative; that of a false positive is 1 minus it.
        power: T to this power (focal Tversky, Abraham and Khan 2019).
        gamma: of F, the exponent of what is wrong.
        alpha: of F, the weight of a foreground voxel; that of background is 1 minus it.
        size_weight: a of 1 + a exp(-V_k / tau), the weight of the voxels of lesion k in C, K and F; None for 1.

    Raises:
        ValueError: a value outside its range.
    """

    smooth: float = SMOOTH
    false_negatives: float = FALSE_NEGATIVES
    power: float = 1.0
    gamma: float = GAMMA
    alpha: float = ALPHA
    size_weight: float | None = None

    def __post_init__(self):
        if not (0 < self.false_negatives < 1 and 0 < self.alpha < 1):
            raise ValueError(f"{self.false_negatives} and {self.alpha} must lie between 0 and 1")
        if self.power <= 0 or self.gamma < 0 or self.smooth < 0:
            raise ValueError(
                f"power {self.power} must be positive, gamma {self.gamma} and smooth {self.smooth} not negative"
            )
        if self.size_weight is not None and self.size_weight <= 0:
            raise ValueError(f"the weight of small lesions must be positive, got {self.size_weight}")

    def of(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Returns those keyword arguments of a formula that differ from its defaults.

        >>> Parameters(power=0.75).of(("smooth", "power"))
        {'power': 0.75}
        """
        return {name: getattr(self, name) for name in names if getattr(self, name) != getattr(DEFAULT, name)}


DEFAULT: Final = Parameters()
