"""Brings the scores of many cases together: the rows of cases.csv and lesions.csv, and each label's summary."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.evaluation.case import CaseScores
from nnunetv2_sizepenalty.evaluation.masks import Grid
from nnunetv2_sizepenalty.evaluation.metrics import LESION_ID, case_columns, lesion_columns, unit_of
from nnunetv2_sizepenalty.evaluation.share_check import Oversized
from nnunetv2_sizepenalty.evaluation.summary import LabelSummary
from nnunetv2_sizepenalty.evaluation.tables import group_tables, summarise_share, tables
from nnunetv2_sizepenalty.lesions import SizeBins
from nnunetv2_sizepenalty.nnunet_io.classes import Labels

# case, the scores of each label, the file's grid
Scores = Sequence[tuple[str, list[CaseScores], Grid]]


def make_tables(scores: Scores, labels: Labels) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Makes cases.csv and lesions.csv."""
    entries = [
        (case, label.name, score, grid)
        for case, per_label, grid in scores
        for label, score in zip(labels.foreground, per_label, strict=True)
    ]
    case_table = pd.DataFrame([{"case": case, "label": label, **score.metrics} for case, label, score, _ in entries])
    unit = unit_of(case_table)
    extra = [column for column in case_table.columns if column not in case_columns(unit)]

    rows = [len(score.centroid) for _, _, score, _ in entries]
    columns = {
        "case": np.repeat(np.array([case for case, *_ in entries], dtype=object), rows),
        "label": np.repeat(np.array([label for _, label, *_ in entries], dtype=object), rows),
    }
    for name in entries[0][2].lesions:
        columns[name] = np.concatenate([score.lesions[name] for _, _, score, _ in entries])
    # One slice has no z axis: its z is 0.
    places = [np.pad(score.centroid, ((0, 0), (3 - score.centroid.shape[1], 0))) for _, _, score, _ in entries]
    world = [grid.to_world(zyx) for zyx, (*_, grid) in zip(places, entries, strict=True)]
    columns |= dict(zip(("z", "y", "x"), np.concatenate(places).T, strict=True))
    columns |= dict(zip(unit.columns(("x_mm", "y_mm", "z_mm")), np.concatenate(world).T, strict=True))
    ids = [LESION_ID] if LESION_ID in columns else []
    return case_table[[*case_columns(unit), *extra]], pd.DataFrame(columns)[[*lesion_columns(unit), *ids]]


def find_oversized_of(scores: Scores) -> list[dict[str, tuple[Oversized, ...]]]:
    """Collects of each label: case -> its oversized components."""
    labels = range(len(scores[0][1]))
    return [{case: of[i].oversized for case, of, _ in scores if of[i].oversized} for i in labels]


def summarise_label(
    cases: pd.DataFrame,
    lesions: pd.DataFrame,
    label: str,
    values: Sequence[int],
    bins: SizeBins,
    groups: dict[str, dict[str, str]],
    oversized: dict[str, tuple[Oversized, ...]],
) -> LabelSummary:
    """Sums the rows of one label; `groups` is column -> case -> value, `oversized` is `find_oversized_of` the label."""
    cases, lesions = cases[cases["label"] == label], lesions[lesions["label"] == label]
    return LabelSummary(
        values=tuple(values),
        tables=tables(cases, lesions, bins),
        groups={column: group_tables(cases, lesions, bins, group) for column, group in groups.items()},
        share=summarise_share(cases, oversized),
    )
