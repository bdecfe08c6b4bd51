"""The terms of a loss, a letter each, and the one spelling of a combination: parser, --help and docs come from here.

A new term is a formula and a row here. Needs no torch: what computes a term is named, and found when a loss is built.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from nnunetv2_sizepenalty.losses.parameters import Parameters
from nnunetv2_sizepenalty.losses.size_term import WEIGHT, SizeTerm

if TYPE_CHECKING:
    from nnunetv2_sizepenalty.losses.formulas import VoxelTerm


@dataclass(frozen=True)
class Term:
    """One row.

    Attributes:
        name: in a word or two.
        meaning: one line on what it does.
        weight: in the sum, beside other terms; alone, every term has 1.
        formula: "module:name" in this package.
        takes: what the formula is a function of. "overlap": V_p, V_g and TP of each pair, whose values are averaged.
            "voxel": it is a `VoxelTerm`, averaged over the voxels. "cross-entropies": of all voxels, to one value.
            "volumes": a `SizeTerm`, V_p, V_g and the scale's voxel ratio, averaged over the pairs with a lesion.
            "lesions": a `LesionView`, averaged over the pairs that it has a value for.
        colour: of its curves, matplotlib's name.
        parameters: keyword arguments of the formula that `Parameters` may change.
    """

    name: str
    meaning: str
    weight: float
    formula: str
    takes: Literal["overlap", "voxel", "cross-entropies", "volumes", "lesions"]
    colour: str
    parameters: tuple[str, ...] = ()

    def resolve(self) -> "Callable | VoxelTerm":
        """Imports the formula."""
        module, name = self.formula.split(":")
        return getattr(import_module(f"{__package__}.{module}"), name)


TERMS: dict[str, Term] = {
    "D": Term(
        "Dice",
        "soft overlap of prediction and reference",
        1.0,
        "formulas:dice",
        "overlap",
        "tab:blue",
        parameters=("smooth",),
    ),
    "T": Term(
        "Tversky",
        "overlap in which a false negative costs 0.7 and a false positive 0.3",
        1.0,
        "formulas:tversky",
        "overlap",
        "tab:green",
        parameters=("smooth", "false_negatives", "power"),
    ),
    "F": Term(
        "focal",
        "cross-entropy of the hard voxels (gamma 2; 0.25 on foreground, 0.75 on background)",
        1.0,
        "formulas:focal_term",
        "voxel",
        "tab:purple",
        parameters=("gamma", "alpha"),
    ),
    "C": Term(
        "cross-entropy", "nnU-Net's own, over all voxels", 1.0, "formulas:cross_entropy_term", "voxel", "tab:cyan"
    ),
    "K": Term(
        "top-10 % cross-entropy",
        "the mean of the tenth of the voxels with the highest cross-entropy",
        1.0,
        "formulas:top_share",
        "cross-entropies",
        "tab:brown",
    ),
    "L": Term(
        "Dice and cross-entropy by lesion",
        "both over each lesion and the voxels nearest to it, the mean over lesions: each counts alike",
        1.0,
        "lesion_terms:dice_ce_by_cell",
        "lesions",
        "tab:orange",
    ),
    "B": Term(
        "blob",
        "Dice and cross-entropy of each lesion against the background, the other lesions left out",
        0.5,
        "lesion_terms:blob",
        "lesions",
        "tab:olive",
    ),
    "H": Term(
        "soft hit",
        "one voxel found is a lesion found; small lesions weigh more",
        0.1,
        "lesion_terms:soft_hit",
        "lesions",
        "tab:pink",
    ),
    "S": Term(
        "size penalty",
        "relative volume error, weighted by exp(-volume / tau); no localisation",
        WEIGHT,
        "size_penalty:size_penalty",
        "volumes",
        "tab:red",
    ),
}

# The thesis's spellings; any other set of letters is spelt in the order of the table.
THESIS_SPELLINGS = ("D", "DT", "DTF", "DTS", "F", "FD", "FS", "FSD", "S", "SD", "ST", "T", "TF", "TFS")
# What --help and editors list and every test of the losses goes through: the thesis's, and what else is in use.
COMMON_COMBINATIONS = (
    *THESIS_SPELLINGS,
    *("DTFS", "DC", "DK", "DCS", "DKS", "DTK", "DFC", "DTFC", "DCL", "DKL", "DKB", "DCH", "DKLS", "L", "H"),
)
_THESIS = {frozenset(spelling): spelling for spelling in THESIS_SPELLINGS}


def spelling(letters: Iterable[str]) -> str | None:
    """Returns the one spelling of a combination, None where a letter is unknown, missing altogether or there twice.

    >>> spelling("SFD"), spelling("SKLD"), spelling("DD"), spelling("DX")
    ('FSD', 'DKLS', None, None)
    """
    letters = tuple(letters)
    if not letters or len(set(letters)) < len(letters) or not set(letters) <= set(TERMS):
        return None
    return _THESIS.get(frozenset(letters), "".join(letter for letter in TERMS if letter in letters))


def is_combination(code: str) -> bool:
    """Tells whether `code` is letters of `TERMS` in their one spelling."""
    return spelling(code) == code


def term_weights(code: str, weights: Mapping[str, float] | None = None) -> dict[str, float]:
    """Returns the weight of each term of `code`, in its order: `weights[letter]` or the default, 1 for a term alone.

    The defaults are the thesis's (section 3.6).

    >>> term_weights("DTS"), term_weights("S")
    ({'D': 1.0, 'T': 1.0, 'S': 0.3}, {'S': 1.0})

    Raises:
        ValueError: `code` is no combination or spelt in another order, or `weights` names a letter that is not in it.
    """
    if not is_combination(code):
        right = spelling(code)
        remedy = f"each of the letters {', '.join(TERMS)} at most once" if right is None else f"it is spelt {right!r}"
        raise ValueError(f"no loss combination {code!r}: {remedy}")
    weights = dict(weights or {})
    if unknown := set(weights) - set(code):
        raise ValueError(f"weights for {sorted(unknown)}, but {code!r} holds only {list(code)}")
    return {letter: float(weights.get(letter, 1.0 if len(code) == 1 else TERMS[letter].weight)) for letter in code}


def needs_cells(code: str, size_term: SizeTerm, parameters: Parameters) -> bool:
    """Tells whether such a loss looks at single lesions, so that their cells must come behind the target."""
    by_lesion = any(TERMS[letter].takes == "lesions" for letter in code)
    return by_lesion or size_term.per_lesion or parameters.size_weight is not None
