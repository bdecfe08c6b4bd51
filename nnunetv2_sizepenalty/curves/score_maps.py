"""Scores one saved map. Worker processes load this module: it imports no torch and no statistics."""

from dataclasses import dataclass

from nnunetv2_sizepenalty.curves.froc_case import CaseCurve, FrocRules, score_curve
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation.masks import Grid, MaskReader
from nnunetv2_sizepenalty.evaluation.score_files import Pair
from nnunetv2_sizepenalty.nnunet_io.classes import Labels
from nnunetv2_sizepenalty.nnunet_io.probabilities import read_probabilities
from nnunetv2_sizepenalty.nnunet_io.spacing import affine_of


@dataclass(frozen=True)
class FrocSetup:
    """How every case is read and scored."""

    reader: MaskReader
    labels: Labels
    rules: FrocRules


def score_probabilities(setup: FrocSetup, pair: Pair) -> list[CaseCurve] | str:
    """Scores every label of one case; or says in a line why it can't be."""
    try:
        reference, grid = setup.reader.read(pair.reference)
        channels = setup.labels.n_channels
        shape = (channels, *(1,) * (3 - reference.ndim), *reference.shape)
        probabilities = read_probabilities(pair.prediction, shape).reshape(channels, *reference.shape)
        if difference := _difference(setup.reader, pair, grid):
            return f"{pair.prediction}: {difference}, so that it belongs to another image; predict anew"
    except UserError as error:
        return str(error)
    if reason := setup.rules.protocol.unsuitable(reference.ndim):
        return f"{pair.reference}: {reason}"
    if unknown := setup.labels.unknown(reference):
        return f"{pair.reference}: holds labels {unknown} that dataset.json does not name"
    valid = None if setup.labels.ignore is None else reference != setup.labels.ignore
    return [
        score_curve(probabilities[label.channel], label.mask(reference), grid.spacing_mm, setup.rules, valid)
        for label in setup.labels.foreground
    ]


def _difference(reader: MaskReader, pair: Pair, grid: Grid) -> str | None:
    """How the place of the probabilities differs from the reference's.

    An .npz tells none; the mask and the properties that nnU-Net writes beside it do.
    """
    mask = pair.prediction.with_name(pair.case + pair.reference.name.removeprefix(pair.case))
    properties = pair.prediction.with_suffix(".pkl")
    if mask.exists():
        return reader.read(mask)[1].difference(grid)
    if properties.exists():
        from batchgenerators.utilities.file_and_folder_operations import load_pickle

        return Grid(grid.shape, grid.spacing_mm, affine_of(load_pickle(str(properties)))).difference(grid)
    return None
