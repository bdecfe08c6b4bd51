"""The letters of a loss combination, and the combinations: --help, docs and the parser are made from them."""

from collections.abc import Mapping
from dataclasses import dataclass

from nnunetv2_sizepenalty.losses.size_term import WEIGHT


@dataclass(frozen=True)
class Letter:
    """One loss term: its name, one line on what it does, and its weight in the sum."""

    name: str
    meaning: str
    weight: float


LETTERS: dict[str, Letter] = {
    "D": Letter("Dice", "soft overlap of prediction and reference", 1.0),
    "T": Letter("Tversky", "overlap in which a false negative costs 0.7 and a false positive 0.3", 1.0),
    "F": Letter("focal", "cross-entropy of the hard voxels (gamma 2; 0.25 on foreground, 0.75 on background)", 1.0),
    "C": Letter("cross-entropy", "nnU-Net's own, over all voxels", 1.0),
    "K": Letter("top-10 % cross-entropy", "the mean of the tenth of the voxels with the highest cross-entropy", 1.0),
    "S": Letter("size penalty", "relative volume error, weighted by exp(-volume / tau); no localisation", WEIGHT),
}

COMBINATIONS: tuple[str, ...] = (
    *("D", "DT", "DTF", "DTS", "F", "FD", "FS", "FSD", "S", "SD", "ST", "T", "TF", "TFS"),
    *("DTFS", "DC", "DK", "DCS", "DKS"),
)


def term_weights(code: str, weights: Mapping[str, float] | None = None) -> dict[str, float]:
    """Weight of each term of `code`, in its order: `weights[letter]` or the default, which is 1 for a term alone.

    The defaults are the thesis's (section 3.6).

    Raises:
        ValueError: `code` is no combination, or `weights` names a letter that is not in it.
    """
    if code not in COMBINATIONS:
        raise ValueError(f"no loss combination {code!r}, choose one of {', '.join(COMBINATIONS)}")
    weights = dict(weights or {})
    if unknown := set(weights) - set(code):
        raise ValueError(f"weights for {sorted(unknown)}, but {code!r} holds only {list(code)}")
    return {letter: float(weights.get(letter, 1.0 if len(code) == 1 else LETTERS[letter].weight)) for letter in code}
