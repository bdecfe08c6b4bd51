"""What the share rule says of an operating point, beside the protocol's own rule."""

from dataclasses import dataclass

import numpy as np

from nnunetv2_sizepenalty.evaluation import formulas
from nnunetv2_sizepenalty.evaluation.matching import Detection, Overlaps

OVERSIZED = 10.0


@dataclass(frozen=True)
class Oversized:
    """A predicted component of more than ten times the volume of the lesions that it touches.

    Attributes:
        component: its number, `lesion` in lesions.csv.
        touched: how many lesions it touches, at least one: what touches none is a false positive under every rule.
        times: its volume over theirs.
    """

    component: int
    touched: int
    times: float


@dataclass(frozen=True)
class ShareSummary:
    """Lesions and false positives of all cases under the protocol's rule and under the share rule.

    Attributes:
        rule: the share rule in words.
        lesions: of the references.
        detected, false_positives: under the protocol's rule.
        detected_by_share, false_positives_by_share: under the share rule.
        oversized: case -> the components to look at; cases without any are left out.
    """

    rule: str
    lesions: int
    detected: int
    detected_by_share: int
    false_positives: int
    false_positives_by_share: int
    oversized: dict[str, tuple[Oversized, ...]]


def share_metrics(detection: Detection) -> dict[str, float]:
    """The columns that are appended to cases.csv, from what the share rule detects."""
    found, lesions = int(detection.detected.sum()), len(detection.detected)
    return {
        "missed_share": lesions - found,
        "false_positives_share": int(detection.false_positive.sum()),
        "detection_rate_share": formulas.sensitivity(found, lesions).value,
    }


def find_oversized(overlaps: Overlaps, factor: float = OVERSIZED) -> tuple[Oversized, ...]:
    """Finds the oversized components of one case."""
    components, first, touched = np.unique(overlaps.prediction, return_index=True, return_counts=True)
    if not len(components):
        return ()
    volume = np.add.reduceat(overlaps.reference_voxels[overlaps.reference - 1], first)
    times = overlaps.prediction_voxels[components - 1] / volume
    rows = zip(components.tolist(), touched.tolist(), times.tolist(), strict=True)
    return tuple(Oversized(*row) for row in rows if row[2] > factor)


def oversized_warning(share: ShareSummary, named: int = 3) -> str | None:
    """Names the first oversized components in one line, with the lesions found under both rules; None without any."""
    where = [f"{case} component {c.component} ({c.times:.3g} x)" for case, of in share.oversized.items() for c in of]
    if not where:
        return None
    components = "component covers" if len(where) == 1 else "components cover"
    more = f" and {len(where) - named} more" if len(where) > named else ""
    return (
        f"{len(where)} predicted {components} more than {OVERSIZED:g} times the volume of the lesions touched: "
        f"{', '.join(where[:named])}{more}. The protocol counts {share.detected} of {share.lesions} lesions as found, "
        f"the share rule {share.detected_by_share} (false positives {share.false_positives} and "
        f"{share.false_positives_by_share})"
    )
