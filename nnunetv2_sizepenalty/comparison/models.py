"""The models of a comparison: several evaluations each, checked to be of the same cases, rules and labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation.nan_json import to_json
from nnunetv2_sizepenalty.evaluation.records import Evaluation, read_evaluation
from nnunetv2_sizepenalty.evaluation.runs import mean_over_repeats, repeats_of


@dataclass(frozen=True)
class Model:
    """One model: `runs` as they were given, `repeats` that each hold every case once, `cases` their mean per case."""

    name: str
    runs: tuple[Evaluation, ...]
    repeats: tuple[pd.DataFrame, ...]
    cases: pd.DataFrame

    @property
    def folds(self) -> int:
        """How many folds each repeat is made of."""
        return len(self.runs) // len(self.repeats)

    def label(self, label: str) -> pd.DataFrame:
        """The rows of one label, in the order of the cases."""
        return self.cases[self.cases["label"] == label].reset_index(drop=True)

    def label_repeats(self, label: str) -> list[pd.DataFrame]:
        """The rows of one label in each repeat, in the same order."""
        return [repeat[repeat["label"] == label].reset_index(drop=True) for repeat in self.repeats]


def read_models(folders: Mapping[str, Sequence[Path]]) -> list[Model]:
    """Reads the outputs of `evaluate` of each model, the baseline first.

    Raises:
        UserError: fewer than two models, a folder that is no output of `evaluate`, or outputs that can't be compared:
            other cases, rules, size bins, labels or references.
    """
    if len(folders) < 2:
        raise UserError("compare needs two models or more: NAME=OUT NAME=OUT")
    models = []
    for name, paths in folders.items():
        runs = tuple(read_evaluation(path) for path in paths)
        try:
            repeats = tuple(repeats_of([run.cases for run in runs]))
        except UserError as error:
            raise UserError(f"{name}: {error}") from None
        models.append(Model(name, runs, repeats, mean_over_repeats(repeats)))
    for model in models:
        _check(models[0], model, folders)
    return models


def _check(baseline: Model, model: Model, folders: Mapping[str, Sequence[Path]]) -> None:
    """UserError where a model's runs can't be set beside the baseline's."""
    first, first_path = baseline.runs[0], folders[baseline.name][0]
    for run, path in zip(model.runs, folders[model.name], strict=True):
        for what, ours, theirs in (
            ("rules", to_json(first.summary.settings), to_json(run.summary.settings)),
            ("size bins", first.summary.bins, run.summary.bins),
            (
                "labels",
                {name: entry.values for name, entry in first.summary.labels.items()},
                {name: entry.values for name, entry in run.summary.labels.items()},
            ),
        ):
            if ours != theirs:
                raise UserError(f"{path}: other {what} than {first_path}; evaluate both with the same options")
    ours, theirs = set(baseline.cases["case"]), set(model.cases["case"])
    if ours != theirs:
        raise UserError(
            f"{baseline.name} and {model.name} were scored on different cases ({len(ours - theirs)} only in "
            f"{baseline.name}, {len(theirs - ours)} only in {model.name}, such as {min(ours ^ theirs)}); "
            "evaluate both on the same"
        )
    columns = ["n_reference", first.summary.unit.column("reference")]
    for repeat in model.repeats:
        differs = ~np.isclose(repeat[columns], baseline.cases[columns], rtol=1e-4).all(axis=1)
        if differs.any():
            case = repeat.loc[differs, "case"].iloc[0]
            raise UserError(f"{model.name}: {case} has another reference than in {baseline.name}; use the same")
