"""What the share rule says of an operating point, beside the protocol's own rule."""

from dataclasses import dataclass

import numpy as np

from nnunetv2_sizepenalty.evaluation import formulas
from nnunetv2_sizepenalty.evaluation.matching import Detection, Overlaps

OVERSIZED = 10.0


@dataclass(frozen=True)
class Oversized:
    """A predicted component of more than ten times the volume of the lesions that it touches, or of all lesions of its
    case where it touches none.

    Attributes:
        lesion: the component's number, as in lesions.csv.
        touched: how many lesions it touches.
        times: its volume over theirs, or over that of all.
    """

    lesion: int
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
    """Computes the columns that are appended to cases.csv from what the share rule detects."""
    found, lesions = int(detection.detected.sum()), len(detection.detected)
    return {
        "missed_share": lesions - found,
        "false_positives_share": int(detection.false_positive.sum()),
        "detection_rate_share": formulas.sensitivity(found, lesions).value,
    }


def find_oversized(overlaps: Overlaps, factor: float = OVERSIZED) -> tuple[Oversized, ...]:
    """Finds the oversized components of one case; none where it has no lesion."""
    reference, prediction = overlaps.reference_voxels, overlaps.prediction_voxels
    n = len(prediction) + 1
    touched = np.bincount(overlaps.prediction, minlength=n)[1:]
    volume = np.bincount(overlaps.prediction, weights=reference[overlaps.reference - 1], minlength=n)[1:]
    times = prediction / np.where(touched, volume, max(reference.sum(), 1))
    large = np.flatnonzero((times > factor) & (reference.sum() > 0))
    return tuple(Oversized(int(c) + 1, int(touched[c]), float(times[c])) for c in large)


def oversized_warning(share: ShareSummary, named: int = 3) -> str | None:
    """Names the first oversized components in one line, with the detection rate under both rules; None without any."""
    where = [f"{case} lesion {c.lesion} ({c.times:.3g} x)" for case, of in share.oversized.items() for c in of]
    if not where:
        return None
    more = f" and {len(where) - named} more" if len(where) > named else ""
    protocol, by_share = (
        f"{found} of {share.lesions} lesions ({found / share.lesions:.0%}) with {false_positives} false positives"
        for found, false_positives in (
            (share.detected, share.false_positives),
            (share.detected_by_share, share.false_positives_by_share),
        )
    )
    return (
        f"predicted components of more than {OVERSIZED:g} times the volume of the lesions that they touch (where they "
        f"touch none, of all in the case): {', '.join(where[:named])}{more}. The protocol finds {protocol}, the share "
        f"rule {by_share}"
    )
