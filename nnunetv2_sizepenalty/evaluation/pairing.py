"""The lesions of a reference and of a prediction, put together under a protocol."""

from dataclasses import dataclass

from nnunetv2_sizepenalty.evaluation.detection import Detector
from nnunetv2_sizepenalty.evaluation.instances import Instances
from nnunetv2_sizepenalty.evaluation.matching import (
    Detection,
    Match,
    Overlaps,
    find_overlaps,
    match_best_sum,
    match_one_to_one,
)
from nnunetv2_sizepenalty.evaluation.protocols import Protocol


@dataclass(frozen=True)
class Pairing:
    """The lesions of both masks and how they belong together. `touching` are the overlaps with the reference lesions'
    reach: `overlaps` itself unless the protocol dilates."""

    reference: Instances
    prediction: Instances
    overlaps: Overlaps
    touching: Overlaps
    match: Match
    detection: Detection


def pair_lesions(reference: Instances, prediction: Instances, protocol: Protocol, detector: Detector) -> Pairing:
    """Matches under `protocol` and detects with `detector`, which is of the same reference; both masks have one
    shape."""
    sizes = reference.voxels, prediction.voxels
    overlaps = find_overlaps(reference.lesion, prediction.labels.ravel()[reference.index], *sizes)
    touching = overlaps
    if reference.reach is not reference.labels:
        touching = find_overlaps(reference.reach.ravel()[prediction.index], prediction.lesion, *sizes)
    match = (match_best_sum if protocol.best_sum else match_one_to_one)(overlaps, protocol.matching)
    detection = detector.detect(prediction, overlaps, touching, match)
    return Pairing(reference, prediction, overlaps, touching, match, detection)
