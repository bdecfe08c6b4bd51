"""The grammar of `-tr`: one table of modifiers, from which parser, `--help` and docs are made.

A name has one spelling: modifiers come in the table's order, numbers without superfluous zeros, so that one run has
one results folder. What the grammar doesn't produce is not a trainer.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from nnunetv2_sizepenalty.losses.parameters import Parameters
from nnunetv2_sizepenalty.losses.size_term import AUTO, CAP, TAU, WEIGHT, Gate, Millilitres, SizeTerm
from nnunetv2_sizepenalty.losses.terms import TERMS, is_combination, spelling
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


def _no(text: str) -> bool:
    return False


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
        letters: it means something only beside one of these, anything for "".
        or_beside: another modifier's attribute beside which it means something too.
        only_beside: another modifier's attribute that it means nothing without.
        size_term, parameter, term_weight: the field of the trainer's `size_term` or `parameters` that it sets, or the
            letter whose weight, in place of a class attribute.
        value: what that becomes, of the parsed value.
        partner: whether it means something only where other terms are as well.
        minimum, below: the smallest value, excluded when 0 makes no sense, and one that it stays below.
    """

    example: str
    pattern: str
    attribute: str
    parse: Callable[[str], Any]
    meaning: str
    slot: int
    letters: str = ""
    or_beside: str | None = None
    only_beside: str | None = None
    size_term: str | None = None
    parameter: str | None = None
    term_weight: str | None = None
    value: Callable[[Any], Any] = _itself
    partner: bool = False
    minimum: float | None = None
    below: float | None = None

    def match(self, token: str) -> Any:
        """The value that `token` sets, or None when it isn't this modifier."""
        found = re.fullmatch(self.pattern, token)
        if found is None:
            return None
        value = self.parse(found.groupdict().get("value", token))
        too_small = self.minimum is not None and value < self.minimum
        return None if too_small or (self.below is not None and value >= self.below) else value

    def fits(self, combination: str, attributes: Collection[str] = ()) -> bool:
        """Whether it means something beside these letters and the attributes of the modifiers before it."""
        of_it = not self.letters or set(self.letters) & set(combination) or self.or_beside in attributes
        beside_it = self.only_beside is None or self.only_beside in attributes
        return bool(of_it) and beside_it and (len(combination) > 1 or not self.partner)

    @property
    def sets_class_attribute(self) -> bool:
        """Whether `attribute` is the trainer's own, not a field or weight of its loss."""
        return self.size_term is None and self.parameter is None and self.term_weight is None

    @property
    def beside(self) -> str:
        """What it means something beside, in words; "" for anything."""
        words = [" or ".join(self.letters)] if self.letters else []
        words += ["_" + _BY_ATTRIBUTE[other].example for other in (self.or_beside, self.only_beside) if other]
        return " or ".join(words)


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
        "fn0p7",
        "fn" + _NUMBER,
        "false_negatives",
        _number,
        "weight of a false negative in T, that of a false positive is 1 minus it",
        slot=1,
        letters="T",
        parameter="false_negatives",
        minimum=SMALLEST,
        below=1.0,
    ),
    Modifier(
        "power0p75",
        "power" + _NUMBER,
        "power",
        _number,
        "T to this power (focal Tversky): below 1 it goes on pushing where overlap is nearly perfect",
        slot=2,
        letters="T",
        parameter="power",
        minimum=SMALLEST,
    ),
    Modifier(
        "gamma2",
        "gamma" + _NUMBER,
        "gamma",
        _number,
        "exponent of what is wrong in F",
        slot=3,
        letters="F",
        parameter="gamma",
    ),
    Modifier(
        "alpha0p25",
        "alpha" + _NUMBER,
        "alpha",
        _number,
        "weight of a foreground voxel in F, that of background is 1 minus it",
        slot=4,
        letters="F",
        parameter="alpha",
        minimum=SMALLEST,
        below=1.0,
    ),
    Modifier(
        "noSmooth",
        "noSmooth",
        "no_smooth",
        _yes,
        "no smoothing in D and T, as nnU-Net's trainers of that name",
        slot=5,
        letters="DT",
        parameter="smooth",
        value=lambda yes: 0.0,
    ),
    Modifier(
        "batchDice",
        "batchDice",
        "batch_dice",
        _yes,
        "D and T sum their volumes over the batch, whatever the plan says",
        slot=6,
        letters="DT",
    ),
    Modifier(
        "sampleDice",
        "sampleDice",
        "batch_dice",
        _no,
        "D and T of each sample, whatever the plan says",
        slot=6,
        letters="DT",
    ),
    Modifier(
        "sizeweight4",
        "sizeweight" + _NUMBER,
        "sizeweight",
        _number,
        "a voxel of a lesion of V voxels counts 1 + 4 exp(-V / tau) in C, K and F",
        slot=7,
        letters="CKF",
        parameter="size_weight",
        minimum=SMALLEST,
    ),
    Modifier(
        "perlesion",
        "perlesion",
        "per_lesion",
        _yes,
        "S for each lesion and the voxels nearest to it, not for the whole patch",
        slot=11,
        letters="S",
        size_term="per_lesion",
    ),
    Modifier(
        "softcap",
        "softcap",
        "soft_cap",
        _yes,
        "S nears its cap smoothly, c (1 - exp(-x / c)), and keeps a gradient beyond it",
        slot=12,
        letters="S",
        size_term="soft_cap",
    ),
    Modifier(
        "logratio",
        "logratio",
        "log_ratio",
        _yes,
        "|log((V_p + 1) / (V_g + 1))| in S: half and twice the volume cost the same",
        slot=13,
        letters="S",
        size_term="log_ratio",
    ),
    Modifier(
        "gate5ml",
        f"gate{_NUMBER}ml",
        "gate_ml",
        _number,
        "S in full for lesions up to this volume, down to a tenth for larger ones",
        slot=14,
        letters="S",
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
        slot=14,
        letters="S",
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
        slot=14,
        letters="S",
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
        slot=15,
        letters="S",
        size_term="late_percent",
        partner=True,
    ),
    Modifier(
        "anneal50",
        f"anneal{_COUNT}",
        "anneal_epochs",
        int,
        "the weight of S rises from 0 over the first 50 epochs",
        slot=15,
        letters="S",
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
        slot=16,
        letters="S",
        size_term="weighting",
        partner=True,
    ),
    Modifier(
        "learned",
        "learned",
        "weighting",
        str,
        "exp(-s) S + s with a trained s; exp(-s) starts at the weight of S",
        slot=16,
        letters="S",
        size_term="weighting",
        partner=True,
    ),
    Modifier(
        "priorbias",
        "priorbias",
        "prior_bias",
        _yes,
        "the network starts by predicting each class as often as the training patches hold it",
        slot=17,
    ),
    Modifier(
        "lesionuniform",
        "lesionuniform",
        "sampling",
        str,
        "forced patches are centred on a lesion, all of a case's equally likely, not on any lesion voxel",
        slot=18,
    ),
    Modifier(
        "shifted",
        "shifted",
        "shifted",
        _yes,
        "forced patches hold their voxel (their lesion with _lesionuniform) anywhere, not at their centre",
        slot=19,
    ),
    Modifier(
        "positive0p66",
        "positive" + _NUMBER,
        "forced_share",
        _number,
        "share of the patches that are forced onto a lesion",
        slot=20,
        minimum=SMALLEST,
        below=1.0 + SMALLEST,
    ),
    Modifier(
        "keepSmall",
        "keepSmall",
        "keep_small",
        _yes,
        "deep supervision's coarse targets by max-pooling, so that every lesion is there at every scale",
        slot=21,
        only_beside="recipe",
    ),
    Modifier(
        "tau300",
        "tau" + _NUMBER,
        "tau",
        _number,
        f"size scale of S in voxels, {TAU:g} without it",
        slot=22,
        letters="SH",
        or_beside="sizeweight",
        size_term="tau",
        minimum=SMALLEST,
    ),
    Modifier(
        "tau2ml",
        f"tau{_NUMBER}ml",
        "tau_ml",
        _number,
        "the same in mL, by the plan's spacing",
        slot=22,
        letters="SH",
        or_beside="sizeweight",
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
        slot=22,
        letters="SH",
        or_beside="sizeweight",
        size_term="tau",
        value=lambda yes: AUTO,
    ),
    Modifier(
        "lambda0p1",
        "lambda" + _NUMBER,
        "size_weight",
        _number,
        f"weight of S, {WEIGHT:g} beside other terms and 1 alone without it",
        slot=23,
        letters="S",
        size_term="weight",
        minimum=SMALLEST,
    ),
    Modifier(
        "cap20",
        "cap" + _NUMBER,
        "cap",
        _number,
        f"largest value of S for one sample, {CAP:g} without it",
        slot=24,
        letters="S",
        size_term="cap",
        minimum=SMALLEST,
    ),
    *(
        Modifier(
            f"{letter}0p5",
            letter + _NUMBER,
            f"weight_{letter}",
            _number,
            f"weight of {letter}, {row.weight:g} without it",
            slot=25 + number,
            letters=letter,
            term_weight=letter,
            partner=True,
            minimum=SMALLEST,
        )
        for number, (letter, row) in enumerate((letter, row) for letter, row in TERMS.items() if letter != "S")
    ),
    Modifier(
        "lr0p003",
        "lr" + _NUMBER,
        "learning_rate",
        _number,
        "initial learning rate (of the thesis's recipe the highest), 0.01 without it (0.0003 in the thesis's recipe)",
        slot=40,
        minimum=SMALLEST,
    ),
    Modifier(
        "deterministic",
        "deterministic",
        "deterministic",
        _yes,
        "cuDNN's deterministic algorithms",
        slot=41,
    ),
    Modifier(
        "finetune",
        "finetune",
        "finetune",
        _yes,
        "from the weights of another trainer's model, at a tenth of the learning rate; set by `finetune`",
        slot=42,
    ),
    Modifier(
        "250epochs",
        _COUNT + "epochs",
        "epochs",
        int,
        "length of the training, 400 without it (1000 with _nnUNet)",
        slot=50,
        minimum=1,
    ),
    Modifier(
        "seed1",
        "seed" + _COUNT,
        "seed",
        int,
        "a repeat: seeds Python, NumPy, torch and the loaders, and has a folder of its own",
        slot=51,
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
        return SizeTerm(**self._set("size_term"))

    @property
    def parameters(self) -> Parameters:
        """Parameters of the other terms: the thesis's, with those that modifiers set.

        >>> parse("nnUNetTrainerDTF_fn0p8_gamma1").parameters
        Parameters(smooth=1e-05, false_negatives=0.8, power=1.0, gamma=1.0, alpha=0.25, size_weight=None)
        """
        return Parameters(**self._set("parameter"))

    @property
    def term_weights(self) -> dict[str, float]:
        """Letter -> weight, of those that modifiers set; S's too."""
        weight = {} if self.size_term.weight is None else {"S": self.size_term.weight}
        return self._set("term_weight") | weight

    def _set(self, what: str) -> dict[str, Any]:
        """Name -> value of what modifiers set in place of class attributes."""
        named = ((_BY_ATTRIBUTE[attribute], value) for attribute, value in self.values.items())
        return {getattr(m, what): m.value(value) for m, value in named if getattr(m, what) is not None}

    @property
    def class_attributes(self) -> dict[str, Any]:
        """The trainer's class attributes, but for its recipe.

        >>> parse("nnUNetTrainerDT_2epochs").class_attributes
        {'combination': 'DT', 'epochs': 2}
        """
        own = {key: value for key, value in self.values.items() if _BY_ATTRIBUTE[key].sets_class_attribute}
        own.pop("recipe", None)
        size_term = {"size_term": self.size_term} if "S" in self.combination or self._set("size_term") else {}
        parameters = {"parameters": self.parameters} if self._set("parameter") else {}
        weights = {"own_weights": self._set("term_weight")} if self._set("term_weight") else {}
        return {"combination": self.combination, **size_term, **parameters, **weights, **own}


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
    if not is_combination(combination):
        return None
    values: dict[str, Any] = {}
    slot = -1
    for token in tokens:
        for modifier in MODIFIERS:
            value = modifier.match(token)
            if value is not None and modifier.slot > slot and modifier.fits(combination, values):
                slot = modifier.slot
                values[modifier.attribute] = value
                break
        else:
            return None
    return TrainerName(name, combination, MappingProxyType(values))


def example_combination(modifier: Modifier) -> str:
    """Returns what the modifier means something behind: DTS or D and a letter of it, and a modifier that it needs."""
    needed = [] if modifier.only_beside is None else [modifier.only_beside]
    combination = "DTS" if modifier.fits("DTS", needed) else str(spelling("D" + modifier.letters[0]))
    return "_".join([combination, *(_BY_ATTRIBUTE[other].example for other in needed)])


def right_spelling(name: str) -> str | None:
    """Returns the name that says the same in the grammar's order; None where a letter or modifier is not of it.

    >>> right_spelling("nnUNetTrainerSDT_250epochs_tau300")
    'nnUNetTrainerDTS_tau300_250epochs'
    """
    if not name.startswith(PREFIX):
        return None
    letters, *tokens = name[len(PREFIX) :].split("_")
    combination = spelling(dict.fromkeys(letters))
    slots = {token: next((m.slot for m in MODIFIERS if m.match(token) is not None), None) for token in tokens}
    if combination is None or None in slots.values():
        return None
    right = "_".join([PREFIX + combination, *sorted(slots, key=slots.__getitem__)])
    return right if parse(right) is not None else None


def step_size(name: str, thesis_overlap: bool = False) -> float:
    """The sliding window's step as a share of the patch: nnU-Net's for every trainer, so that they compare.

    With `thesis_overlap` the thesis's own (section 4.5): 0.25, that is 75 % overlap, where S is in the combination.
    """
    parsed = parse(name)
    return 0.25 if thesis_overlap and parsed is not None and "S" in parsed.combination else VALIDATION_STEP
