"""Scores one pair of files. Worker processes load this module: it imports no pandas, no statistics and no torch."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation.case import CaseScores, score_case
from nnunetv2_sizepenalty.evaluation.joining import joining_masks
from nnunetv2_sizepenalty.evaluation.lesion_ids import foreign_values, lesion_map
from nnunetv2_sizepenalty.evaluation.masks import Grid, MaskReader
from nnunetv2_sizepenalty.evaluation.protocols import Protocol
from nnunetv2_sizepenalty.lesions.boxes import bounding_box
from nnunetv2_sizepenalty.nnunet_io.classes import Labels


@dataclass(frozen=True)
class Pair:
    """One case to score; `prediction` is None where a missing one is scored as empty."""

    case: str
    reference: Path
    prediction: Path | None


@dataclass(frozen=True)
class ScoringSetup:
    """How every case is read and scored."""

    reference_reader: MaskReader
    prediction_reader: MaskReader
    labels: Labels
    protocol: Protocol


def score_pair(setup: ScoringSetup, pair: Pair) -> tuple[list[CaseScores], Grid] | str:
    """The scores of one case for every label, and its grid; or a line that says why there are none."""
    try:
        reference, grid = setup.reference_reader.read(pair.reference)
        if pair.prediction is None:
            prediction = np.zeros_like(reference)
        else:
            prediction, other = setup.prediction_reader.read(pair.prediction)
            if difference := other.difference(grid):
                return f"{pair.prediction}: {difference}"
    except UserError as error:
        return str(error)
    if reason := setup.protocol.unsuitable(reference.ndim):
        return f"{pair.reference}: {reason}"
    box = bounding_box(reference, prediction)
    reference, prediction = reference[box], prediction[box]
    instances = setup.protocol.instances
    for path, array, is_reference in ((pair.reference, reference, True), (pair.prediction, prediction, False)):
        if foreign := foreign_values(setup.labels, array, instances, is_reference=is_reference):
            return f"{path}: {foreign}"
    if setup.labels.ignore is not None:
        ignored = reference == setup.labels.ignore
        reference, prediction = np.where(ignored, 0, reference), np.where(ignored, 0, prediction)
    offset = [axis.start for axis in box]
    scores = []
    for label in setup.labels.foreground:
        joining = joining_masks(label.values, reference, prediction, setup.protocol)
        ours = lesion_map(label, reference, instances, is_reference=True)
        theirs = lesion_map(label, prediction, instances, is_reference=False)
        score = score_case(ours, theirs, grid.spacing_mm, setup.protocol, joining)
        scores.append(dataclasses.replace(score, centroid=score.centroid + offset))
    return scores, grid
