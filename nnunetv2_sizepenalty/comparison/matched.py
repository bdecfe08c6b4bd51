"""All models at the same false positives per case: a single threshold can't tell a better model from another one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.comparison.models import Model
from nnunetv2_sizepenalty.curves.froc import Froc, cases_at, read_froc
from nnunetv2_sizepenalty.curves.froc_curve import lowest_threshold
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation.protocols import SHARE, split_detection
from nnunetv2_sizepenalty.evaluation.runs import mean_over_repeats, repeats_of

# The columns of `Froc.points` that the comparison shows: those that need no surface.
MATCHED_METRICS = (
    "dice", "false_positives", "missed", "detection_rate", "rve", "pq", "sq", "sq_matched", "rq",
)  # fmt: skip


@dataclass(frozen=True)
class Matched:
    """Models cut at one rate: thresholds of each model's repeats, and the models with their cases there.

    `out_of_reach` names the models that have more false positives at every threshold, `detection` the rule by which
    `froc` counted, in words.
    """

    false_positives_per_case: float
    detection: str
    thresholds: dict[str, tuple[float, ...]]
    models: list[Model]
    out_of_reach: tuple[str, ...]


def read_frocs(models: Sequence[Model], folders: Mapping[str, Sequence[Path]]) -> dict[str, list[Froc]]:
    """The outputs of `froc` of each model, the baseline's among them.

    Raises:
        UserError: an unknown model, no output for the baseline, other rules or other cases than in `evaluate`.
    """
    names = {model.name: model for model in models}
    if unknown := [name for name in folders if name not in names]:
        raise UserError(f"--froc {unknown[0]}=...: no such model; there are {', '.join(names)}")
    if models[0].name not in folders:
        raise UserError(f"--froc: give {models[0].name}=OUT too, the baseline whose rate the others are brought to")
    frocs, detected = {}, {}
    for name, paths in folders.items():
        frocs[name] = [read_froc(path) for path in paths]
        for froc, path in zip(frocs[name], paths, strict=True):
            description = names[name].runs[0].summary.description
            rules, detection = split_detection(froc.summary.description)
            if rules != split_detection(description)[0]:
                raise UserError(f"{path}: other rules ({froc.summary.description}) than `evaluate` ({description})")
            detected.setdefault(detection, path)
        cases = {case for froc in frocs[name] for case in froc.points["case"]}
        if cases != set(names[name].cases["case"]):
            evaluated = names[name].cases["case"].nunique()
            raise UserError(f"--froc {name}: {len(cases)} cases, not the {evaluated} that were evaluated")
    if len(detected) > 1:
        how = "; ".join(f"{path} by {rule}" for rule, path in detected.items())
        raise UserError(f"--froc: lesions are detected in different ways ({how}); run `froc` anew with one --detection")
    return frocs


def match_false_positives(models: Sequence[Model], frocs: Mapping[str, Sequence[Froc]], label: str) -> Matched:
    """Cuts every repeat of every model where it has the baseline's own false positives per case, or the nearest rate
    below.

    The baseline itself is cut from its probabilities too, at its own rate, so that all are treated alike.
    """
    detection = split_detection(frocs[models[0].name][0].summary.description)[1]
    rate = _own_rate(models[0], detection, label)
    thresholds, matched, out_of_reach = {}, [], []
    for model in models:
        if model.name not in frocs:
            continue
        repeats = repeats_of([froc.points[froc.points["label"] == label] for froc in frocs[model.name]])
        cuts = [lowest_threshold(_curve(points), rate) for points in repeats]
        thresholds[model.name] = tuple(cuts)
        if np.isnan(cuts).any():
            out_of_reach.append(model.name)
            continue
        cases = (cases_at(points, label, cut) for points, cut in zip(repeats, cuts, strict=True))
        tables = tuple(table.sort_values("case", ignore_index=True) for table in cases)
        matched.append(Model(model.name, model.runs, tables, mean_over_repeats(tables)))
    return Matched(rate, detection, thresholds, matched, tuple(out_of_reach))


def _own_rate(model: Model, detection: str, label: str) -> float:
    """A model's false positives per case at its operating point, by the same rule where `evaluate` counted by it."""
    cases, name = model.label(label), "false_positives"
    if detection == str(SHARE) and f"{name}_share" in cases:
        name += "_share"
    return float(cases[name].mean())


def _curve(points: pd.DataFrame) -> pd.DataFrame:
    """Sensitivity and false positives per case over the cases of all folds of one repeat at each threshold."""
    groups = points.groupby("threshold")
    sums = groups[["n_reference", "missed"]].sum()
    curve = pd.DataFrame(
        {
            "sensitivity": 1 - sums["missed"] / sums["n_reference"],
            "false_positives_per_case": groups["false_positives"].mean(),
        }
    )
    return curve.reset_index()
