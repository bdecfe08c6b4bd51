"""Each model against the baseline: the questions of a table, from the cases of both."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.comparison.contrast import contrast_means, contrast_pooled
from nnunetv2_sizepenalty.comparison.models import Model
from nnunetv2_sizepenalty.comparison.paired import Question, judge
from nnunetv2_sizepenalty.comparison.patients import PatientBlocks
from nnunetv2_sizepenalty.comparison.pooled import ENDPOINTS, POOLED
from nnunetv2_sizepenalty.comparison.setting import Setting, compared_metrics
from nnunetv2_sizepenalty.comparison.undefined import read_values
from nnunetv2_sizepenalty.evaluation.strata import ALL


def differences(
    models: Sequence[Model], setting: Setting, strata: Sequence[str], metrics: Sequence[str] | None = None
) -> pd.DataFrame:
    """Each model against the first, for each stratum and figure: one table, tested together.

    Columns stratum, model, baseline, metric, primary, cases, patients (with a value in both), left_out (undefined
    through an empty reference), baseline_undefined, model_undefined (through the prediction), those of `paired.judge`.

    Args:
        metrics: columns and names of `pooled.POOLED`. The setting's primary metric is tested alone over all cases.
    """
    first, *others = models
    cases = first.label(setting.label)
    blocks = setting.blocks(cases)
    questions = []
    for stratum in strata:
        chosen = setting.chosen(cases, stratum)
        here, empty = blocks.at(chosen), setting.empty(cases)[chosen]
        for model in others:
            tables = [[repeat[chosen] for repeat in m.label_repeats(setting.label)] for m in (first, model)]
            for metric in metrics or compared_metrics(setting.bins.unit):
                keys = {"stratum": stratum, "model": model.name, "baseline": first.name, "metric": metric}
                keys["primary"] = metric == setting.primary and stratum == ALL
                ask = ask_pooled if metric in POOLED else ask_means
                questions.append(ask(keys, metric, tables, here, empty, setting.shared_seeds))
    return judge(questions, len(blocks))


Tables = Sequence[Sequence[pd.DataFrame]]


def ask_means(
    keys: dict, metric: str, tables: Tables, blocks: PatientBlocks, empty: np.ndarray, shared_seeds: bool
) -> Question:
    """Asks about a metric's mean over the cases.

    Args:
        keys: the row's first columns.
        tables: of baseline and model, the same cases in each, a table a repeat.
        blocks: the patients of these cases.
        empty: which of them have an empty reference.
    """
    better = ENDPOINTS[metric].better
    values = [np.stack([table[metric].to_numpy(float) for table in of_model]) for of_model in tables]
    read = read_values(*values, empty, better)
    known, filled = (
        None if pair is None else contrast_means(*pair, blocks, shared_seeds=shared_seeds)
        for pair in (read.known, read.filled)
    )
    counts = {
        "cases": len(known.by_case),
        "patients": len(known.by_patient),
        "left_out": read.left_out,
        "baseline_undefined": read.baseline_undefined,
        "model_undefined": read.model_undefined,
    }
    return Question(keys | counts, better, known, filled, primary=keys["primary"])


def ask_pooled(
    keys: dict, metric: str, tables: Tables, blocks: PatientBlocks, empty: np.ndarray, shared_seeds: bool
) -> Question:
    """Asks about a figure of all cases together; arguments as in `ask_means`."""
    contrast = contrast_pooled(POOLED[metric], *tables, blocks, shared_seeds=shared_seeds)
    counts = {"cases": len(empty), "patients": int(blocks.present.sum())}
    counts |= {"left_out": 0, "baseline_undefined": 0, "model_undefined": 0}
    return Question(keys | counts, ENDPOINTS[metric].better, contrast, primary=keys["primary"])
