"""The grammar of `-tr`: one table of modifiers, from which parser, `--help` and docs are made.

A name has one spelling: modifiers come in the table's order, numbers without superfluous zeros, so that one run has
one results folder. What the grammar doesn't produce is not a trainer.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from nnunetv2_sizepenalty.losses.size_term import AUTO, CAP, TAU, WEIGHT, Gate, Millilitres, SizeTerm
from nnunetv2_sizepenalty.losses.terms import COMBINATIONS
from nnunetv2_sizepenalty.nnunet_io.probabilities import VALIDATION_STEP

PREFIX = "nnUNetTrainer"
# nnU-Net's own loss and recipe on our network
ATTENTION_ASPP = PREFIX + "AttentionASPP"

# nnU-Net's result folders allow no dot in a trainer's name
_NUMBER = r"(?P<value>(?:0|[1-9]\d*)(?:p\d*[1-9])?)"
_COUNT = r"(?P<value>0|[1-9]\d*)"
_PERCENT = r"(?P<value>[1-9]\d?)"


def _number(text: str) -> float:
    return float(text.replace("p", "."))


def _yes(text: str) -> bool:
    return True


def _itself(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Modifier:
    """One row of the grammar.

    Attributes:
        example: how it is written, without the underscore.
        pattern: what it must match in full; a group `value` is handed to `parse`.
        attribute: what it is called in `TrainerName.values`; the trainer's class attribute that it sets.
        parse: text of the group `value` to the attribute's value.
        meaning: one line for --help and docs.
        slot: modifiers of one slot exclude each other; slots come in this order in a name.
        size_term: where it is of S and means something only beside S: the field of the trainer's `size_term` that it
            sets, in place of a class attribute.
        value: what that field becomes, of the parsed value.
        partner: whether it means something only where other terms are as well.
        minimum: the smallest value, excluded when 0 makes no sense.
    """

    example: str
    pattern: str
    attribute: str
    parse: Callable[[str], Any]
    meaning: str
    slot: int
    size_term: str | None = None
    value: Callable[[Any], Any] = _itself
    partner: bool = False
    minimum: float | None = None

    def match(self, token: str) -> Any:
        """The value that `token` sets, or None when it isn't this modifier."""
        found = re.fullmatch(self.pattern, token)
        if found is None:
            return None
        value = self.parse(found.groupdict().get("value", token))
        return None if self.minimum is not None and value < self.minimum else value

    def fits(self, combination: str) -> bool:
        """Whether it means something beside these letters."""
        return ("S" in combination or self.size_term is None) and (len(combination) > 1 or not self.partner)


SMALLEST = 1e-12

MODIFIERS: tuple[Modifier, ...] = (
    Modifier(
        "nnUNet",
        "nnUNet",
        "recipe",
        str,
        "nnU-Net's own recipe, augmentation and the plan's own network; only the loss differs",
        slot=0,
    ),
    Modifier(
        "nnUNetDA",
        "nnUNetDA",
        "augmentation",
        str,
        "the thesis's recipe with nnU-Net's own augmentation",
        slot=0,
    ),
    Modifier(
        "perlesion",
        "perlesion",
        "per_lesion",
        _yes,
        "S for each lesion and the voxels nearest to it, not for the whole patch",
        slot=1,
        size_term="per_lesion",
    ),
    Modifier(
        "softcap",
        "softcap",
        "soft_cap",
        _yes,
        "S nears its cap smoothly, c (1 - exp(-x / c)), and keeps a gradient beyond it",
        slot=2,
        size_term="soft_cap",
    ),
    Modifier(
        "logratio",
        "logratio",
        "log_ratio",
        _yes,
        "|log((V_p + 1) / (V_g + 1))| in S: half and twice the volume cost the same",
        slot=3,
        size_term="log_ratio",
    ),
    Modifier(
        "gate5ml",
        f"gate{_NUMBER}ml",
        "gate_ml",
        _number,
        "S in full for lesions up to this volume, down to a tenth for larger ones",
        slot=4,
        size_term="gate",
        value=lambda ml: Gate(Millilitres(ml)),
        minimum=SMALLEST,
    ),
    Modifier(
        "gatePred5ml",
        f"gatePred{_NUMBER}ml",
        "predicted_gate_ml",
        _number,
        "the same, by the volume that is predicted so far",
        slot=4,
        size_term="gate",
        value=lambda ml: Gate(Millilitres(ml), by="predicted"),
        minimum=SMALLEST,
    ),
    Modifier(
        "hardgate5ml",
        f"hardgate{_NUMBER}ml",
        "hard_gate_ml",
        _number,
        "S for lesions up to this volume alone",
        slot=4,
        size_term="gate",
        value=lambda ml: Gate(Millilitres(ml), hard=True),
        minimum=SMALLEST,
    ),
    Modifier(
        "late40",
        f"late{_PERCENT}",
        "late_percent",
        int,
        "S in the last 40 % of the training alone",
        slot=5,
        size_term="late_percent",
        partner=True,
    ),
    Modifier(
        "anneal50",
        f"anneal{_COUNT}",
        "anneal_epochs",
        int,
        "the weight of S rises from 0 over the first 50 epochs",
        slot=5,
        size_term="anneal_epochs",
        partner=True,
        minimum=1,
    ),
    Modifier(
        "balanced",
        "balanced",
        "weighting",
        str,
        "the weight of S is set in each step so that its logit gradient is 0.3 of its partners' (_lambda: that share)",
        slot=6,
        size_term="weighting",
        partner=True,
    ),
    Modifier(
        "learned",
        "learned",
        "weighting",
        str,
        "exp(-s) S + s with a trained s; exp(-s) starts at the weight of S",
        slot=6,
        size_term="weighting",
        partner=True,
    ),
    Modifier(
        "priorbias",
        "priorbias",
        "prior_bias",
        _yes,
        "the network starts by predicting each class as often as the training patches hold it",
        slot=7,
    ),
    Modifier(
        "lesionuniform",
        "lesionuniform",
        "sampling",
        str,
        "forced patches are centred on a lesion, all of a case's equally likely, not on any lesion voxel",
        slot=8,
    ),
    Modifier(
        "tau300",
        "tau" + _NUMBER,
        "tau",
        _number,
        f"size scale of S in voxels, {TAU:g} without it",
        slot=10,
        size_term="tau",
        minimum=SMALLEST,
    ),
    Modifier(
        "tau2ml",
        f"tau{_NUMBER}ml",
        "tau_ml",
        _number,
        "the same in mL, by the plan's spacing",
        slot=10,
        size_term="tau",
        value=Millilitres,
        minimum=SMALLEST,
    ),
    Modifier(
        "tauAuto",
        "tauAuto",
        "tau_auto",
        _yes,
        "the median lesion volume of the fold's training patches (of its lesions with _perlesion)",
        slot=10,
        size_term="tau",
        value=lambda yes: AUTO,
    ),
    Modifier(
        "lambda0p1",
        "lambda" + _NUMBER,
        "size_weight",
        _number,
        f"weight of S, {WEIGHT:g} beside other terms and 1 alone without it",
        slot=11,
        size_term="weight",
        minimum=SMALLEST,
    ),
    Modifier(
        "cap20",
        "cap" + _NUMBER,
        "cap",
        _number,
        f"largest value of S for one sample, {CAP:g} without it",
        slot=12,
        size_term="cap",
        minimum=SMALLEST,
    ),
    Modifier(
        "250epochs",
        _COUNT + "epochs",
        "epochs",
        int,
        "length of the training, 400 without it (1000 with _nnUNet)",
        slot=20,
        minimum=1,
    ),
    Modifier(
        "seed1",
        "seed" + _COUNT,
        "seed",
        int,
        "a repeat: seeds Python, NumPy, torch and the loaders, and has a folder of its own",
        slot=21,
    ),
)


_BY_ATTRIBUTE = {modifier.attribute: modifier for modifier in MODIFIERS}


@dataclass(frozen=True)
class TrainerName:
    """What a name means.

    Attributes:
        combination: its loss terms.
        values: what its modifiers say, by their `attribute`.
    """

    name: str
    combination: str
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size_term(self) -> SizeTerm:
        """S: the thesis's, with the fields that modifiers set.

        >>> parse("nnUNetTrainerDTS_tau2ml_cap20").size_term == SizeTerm(tau=Millilitres(2.0), cap=20.0)
        True
        """
        named = ((_BY_ATTRIBUTE[attribute], value) for attribute, value in self.values.items())
        return SizeTerm(**{m.size_term: m.value(value) for m, value in named if m.size_term is not None})

    @property
    def class_attributes(self) -> dict[str, Any]:
        """The trainer's class attributes, but for its recipe.

        >>> parse("nnUNetTrainerDT_2epochs").class_attributes
        {'combination': 'DT', 'epochs': 2}
        """
        own = {key: value for key, value in self.values.items() if _BY_ATTRIBUTE[key].size_term is None}
        own.pop("recipe", None)
        size_term = {"size_term": self.size_term} if "S" in self.combination else {}
        return {"combination": self.combination, **size_term, **own}


def parse(name: str) -> TrainerName | None:
    """Reads a trainer's name; returns None when it is none of ours.

    >>> dict(parse("nnUNetTrainerDTS_tau300_250epochs").values)
    {'tau': 300.0, 'epochs': 250}
    >>> parse("nnUNetTrainerDTS_250epochs_tau300") is None
    True
    """
    if not name.startswith(PREFIX):
        return None
    combination, *tokens = name[len(PREFIX) :].split("_")
    if combination not in COMBINATIONS:
        return None
    values: dict[str, Any] = {}
    slot = -1
    for token in tokens:
        for modifier in MODIFIERS:
            value = modifier.match(token)
            if value is not None and modifier.slot > slot and modifier.fits(combination):
                slot = modifier.slot
                values[modifier.attribute] = value
                break
        else:
            return None
    return TrainerName(name, combination, MappingProxyType(values))


def step_size(name: str, thesis_overlap: bool = False) -> float:
    """The sliding window's step as a share of the patch: nnU-Net's for every trainer, so that they compare.

    With `thesis_overlap` the thesis's own (section 4.5): 0.25, that is 75 % overlap, where S is in the combination.
    """
    parsed = parse(name)
    return 0.25 if thesis_overlap and parsed is not None and "S" in parsed.combination else VALIDATION_STEP
