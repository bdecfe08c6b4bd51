"""Rules of an evaluation as a whole: what counts as a lesion, as detected and as matched."""

import math
from dataclasses import dataclass

from nnunetv2_sizepenalty.evaluation import lesion_ids
from nnunetv2_sizepenalty.lesions import ML, PX, SizeUnit

# With and without a threshold.
SCORED, PLAIN = ("iou", "dice", "share"), ("overlap", "matched", "picai", "msseg")
NAMES = {
    "iou": "IoU",
    "dice": "Dice",
    "share": "share of lesion in what is predicted around it",
    "overlap": "any overlap",
    "matched": "one-to-one match",
    "picai": "one-to-one with IoU >= 0.1 (PI-CAI)",
    "msseg": "MSSEG-2016's rule",
}


@dataclass(frozen=True)
class Rule:
    """When two lesions belong together: a common voxel (`overlap`), `iou` or `dice` of at least `threshold`, or, for
    detection alone, being each other's one-to-one match (`matched`), a `share` of at least `threshold` (`share.py`), or
    a challenge's rule (`picai`, `msseg`: `challenge_detection.py`)."""

    metric: str = "overlap"
    threshold: float = 0.0

    def __post_init__(self):
        if self.metric not in SCORED + PLAIN:
            raise ValueError(f"a rule is one of {', '.join(SCORED + PLAIN)}, got {self.metric!r}")
        scored = self.metric in SCORED
        if scored != (0 < self.threshold <= 1):
            raise ValueError(f"{self.metric} takes {'a threshold in (0, 1]' if scored else 'no threshold'}")

    @classmethod
    def parse(cls, text: str) -> "Rule":
        """The rule written as "overlap", "share:0.1", "iou:0.5", "dice:0.1", "matched", "picai" or "msseg"; ValueError
        for anything else."""
        metric, _, threshold = text.partition(":")
        try:
            return cls(metric, float(threshold or 0))
        except ValueError as error:
            written = ", ".join([*(f"{name}:T" for name in SCORED), *PLAIN])
            raise ValueError(f"{text!r} is no rule ({error}); write one of {written}") from None

    @property
    def option(self) -> str:
        """As `parse` reads it and a command takes it, such as "share:0.1"."""
        return f"{self.metric}:{self.threshold:g}" if self.metric in SCORED else self.metric

    def __str__(self) -> str:
        words = NAMES[self.metric]
        return f"{words} >= {self.threshold:g}" if self.metric in SCORED else words


# Wherever thresholds are swept or chosen, whatever the protocol.
SHARE = Rule("share", 0.1)


@dataclass(frozen=True)
class Protocol:
    """One set of rules; `description` goes into every table's caption.

    connectivity: None is `lesions.default_connectivity` (18, and 8 in 2D).
    min_voxels, min_mm3: smaller predicted components are removed before anything is computed (of the reference too
        with `filter_reference`).
    nsd_mm: tolerance of the NSD.
    both_empty: Dice and lesion F1 of a case where both masks are empty.
    dice_needs_match: Dice is 0 where no pair of lesions is matched, however much overlaps.
    dilation: reference lesions that touch after that many dilations (18-neighbourhood) are one, and a predicted
        lesion touches a reference lesion when it reaches into its dilation.
    dilate_prediction: predicted lesions that touch after that dilation are one too; those too small are removed then.
    joined_by: (value, other): reference or predicted lesions of the label `value` alone that touch the same lesion of
        the value `other` are one (`joining.py`).
    best_sum: the one-to-one pairs are those of the largest sum of scores, not the best pair first.
    appends: the columns that are added to cases.csv, by their name in `challenge_columns.COLUMNS`.
    lesionwise_above_mm3: those columns are over reference lesions above this size (BraTS-METS 2026: of at least it).
    instances: which masks hold lesion ids (`lesion_ids.py`): "reference", "prediction", "both" or "none".
    """

    name: str = "default"
    connectivity: int | None = None
    min_voxels: float = 0
    min_mm3: float = 0
    filter_reference: bool = False
    detection: Rule = Rule()
    matching: Rule = Rule("iou", 0.5)
    nsd_mm: float = 1.0
    both_empty: float = math.nan
    dice_needs_match: bool = False
    dilation: int = 0
    dilate_prediction: bool = False
    joined_by: tuple[int, int] | None = None
    best_sum: bool = False
    appends: str | None = None
    lesionwise_above_mm3: float | None = None
    instances: str = lesion_ids.NONE

    def __post_init__(self):
        if self.matching.metric not in ("iou", "dice"):
            raise ValueError(f"matching needs iou:T or dice:T, got {self.matching.metric}")
        if self.connectivity not in (None, 4, 6, 8, 18, 26):
            raise ValueError(f"connectivity is 6, 18 or 26 (in 2D 4 or 8), got {self.connectivity}")
        if self.instances not in (lesion_ids.NONE, *lesion_ids.CHOICES):
            raise ValueError(f"instances are {', '.join(lesion_ids.CHOICES)}, got {self.instances}")
        if self.instances != lesion_ids.NONE and (self.dilation or self.joined_by):
            raise ValueError(f"{self.name} joins lesions that lie close, and ids keep them apart")
        if self.dilation and self.filter_reference:
            raise ValueError("a reference whose lesions are dilated can't be filtered")
        if self.nsd_mm < 0 or self.min_voxels < 0 or self.min_mm3 < 0:
            raise ValueError("sizes and tolerances are not negative")

    def unsuitable(self, axes: int) -> str | None:
        """Why masks of that many axes can't be scored by these rules, or None."""
        if axes == 3 and self.connectivity in (4, 8):
            return f"is 3D, where connectivity is 6, 18 or 26 and not {self.connectivity}"
        if axes == 2 and self.appends not in (None, "wmh"):
            return f"is 2D, and {self.name} is defined in 3D"
        return None

    @property
    def description(self) -> str:
        """`described` for images with a spacing."""
        return self.described(ML)

    def described(self, unit: SizeUnit) -> str:
        """One line, such as "thesis: 18 (2D: 8)-connectivity, predictions under 5 voxels removed, ...".

        Args:
            unit: of sizes; without a spacing what is set in mm counts in pixels.
        """
        smallest = [f"{self.min_voxels:g} voxels"] * (self.min_voxels > 0)
        smallest += [f"{self.min_mm3:g} {PX if unit == PX else 'mm^3'}"] * (self.min_mm3 > 0)
        whose = "lesions" if self.filter_reference else "predictions"
        parts = [
            f"{self.name}: {lesion_ids.in_words(self.instances, self.connectivity)}",
            f"{whose} under {' or '.join(smallest)} removed" if smallest else "nothing removed",
            f"detected: {self.detection}",
            f"matched: {self.matching}{' (largest sum)' * self.best_sum}",
            f"NSD within {self.nsd_mm:g} {unit.length}",
        ]
        if not math.isnan(self.both_empty):
            parts.append(f"Dice and lesion F1 of two empty masks: {self.both_empty:g}")
        if self.dice_needs_match:
            parts.append("Dice 0 where nothing is matched")
        if self.dilation:
            parts.append(f"reference lesions dilated {self.dilation} x for merging and touching")
        if self.dilate_prediction:
            parts.append("predicted ones for merging")
        if self.joined_by:
            parts.append("lesions of label {} that touch one of label {} are one".format(*self.joined_by))
        return ", ".join(parts)


def split_detection(description: str) -> tuple[str, str]:
    """Splits a `Protocol.description` into its other rules and what a lesion is detected by ("" where it isn't told).

    >>> split_detection(Protocol("mine").description)[1]
    'any overlap'
    """
    parts = description.split(", ")
    detection = next((part for part in parts if part.startswith("detected: ")), "")
    return ", ".join(part for part in parts if part != detection), detection.removeprefix("detected: ")


PROTOCOLS: dict[str, Protocol] = {
    p.name: p
    for p in (
        Protocol(),
        # Thesis, sections 4.5 and 4.6.
        Protocol("thesis", min_voxels=5),
        # github.com/ezequieldlrosa/isles22, utils/eval_utils.py at 31b7c8c2.
        Protocol("isles22", connectivity=26, both_empty=1.0),
        # github.com/ezequieldlrosa/isles26, utils/eval_utils.py at 91965d0c.
        Protocol(
            "isles26",
            connectivity=26,
            detection=Rule("matched"),
            matching=Rule("iou", 0.25),
            both_empty=1.0,
            dice_needs_match=True,
        ),
        # github.com/rachitsaluja/BraTS-2023-Metrics, metrics.py at 43c90524, challenge BraTS-MET.
        Protocol(
            "brats-mets",
            connectivity=26,
            both_empty=1.0,
            dilation=1,
            appends="brats-2023",
            lesionwise_above_mm3=2.0,
        ),
        # github.com/rachitsaluja/BraTS-2024-Metrics, metrics_MET.py at 9a0ab9c7 (the challenge's) and f1131e34 (NSD).
        Protocol(
            "brats-mets-2024",
            connectivity=26,
            min_voxels=3,
            both_empty=1.0,
            dilation=1,
            dilate_prediction=True,
            joined_by=(3, 1),
            appends="brats-2024",
            lesionwise_above_mm3=2.0,
        ),
        # github.com/mlcommons/GaNDLF, GANDLF/metrics/panoptica_config_brats.yaml at e9fe4ad1, for panoptica 2.1.7.
        Protocol("brats-mets-2025", connectivity=26, both_empty=1.0, appends="brats-2025"),
        # brats-evaluation 0.0.10 (configs/config_mets.yaml, metrics_parser.py) for panoptica 2.1.7, with the options of
        # github.com/Sage-Bionetworks-Challenges/brats-infra, evaluation/segmentation/score.py at 4d6b4b8c.
        Protocol(
            "brats-mets-2026",
            connectivity=26,
            matching=Rule("dice", 1e-6),
            best_sum=True,
            appends="brats-2026",
            lesionwise_above_mm3=27.0,
        ),
        # github.com/hjkuijf/wmhchallenge, evaluation.py at 2e628cbe.
        Protocol("wmh", connectivity=26, appends="wmh"),
    )
}
