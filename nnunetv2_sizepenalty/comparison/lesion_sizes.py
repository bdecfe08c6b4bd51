"""Lesions found, by the lesion's own size: patients swap their models, and are resampled with all their lesions."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.comparison.contrast import contrast_pooled
from nnunetv2_sizepenalty.comparison.models import Model
from nnunetv2_sizepenalty.comparison.paired import Question, judge
from nnunetv2_sizepenalty.comparison.pooled import POOLED
from nnunetv2_sizepenalty.comparison.setting import Setting
from nnunetv2_sizepenalty.evaluation.kinds import REFERENCE
from nnunetv2_sizepenalty.evaluation.runs import repeats_of
from nnunetv2_sizepenalty.evaluation.strata import in_stratum, stratum_names

FOUND = "lesion_sensitivity"


def reference_lesions(model: Model, label: str) -> list[pd.DataFrame]:
    """The rows of lesions.csv of one label's reference lesions in each repeat, all folds together."""
    by_cases = repeats_of([run.cases.assign(run=number) for number, run in enumerate(model.runs)])
    tables = []
    for repeat in by_cases:
        lesions = pd.concat([model.runs[number].lesions for number in sorted(set(repeat["run"]))])
        tables.append(lesions[(lesions["label"] == label) & (lesions["kind"] == REFERENCE)])
    return tables


def lesion_sizes(models: Sequence[Model], setting: Setting) -> pd.DataFrame:
    """Lesions of each size that each model found, by the lesion's own volume: one table, tested together.

    Columns stratum, model, baseline, lesions, missed (mean over the repeats), detection_rate, then of `paired.judge`
    difference (of the detection rates), low, high, interval, p, p_corrected, p_holm, noise_floor, p_repeats, verdict;
    NaN and "" for the baseline itself.
    """
    first, *others = models
    cases = first.label(setting.label)
    blocks = setting.blocks(cases)
    lesions = {model.name: reference_lesions(model, setting.label) for model in models}
    column = setting.bins.unit.column("volume")
    rows, questions = [], []
    for stratum in stratum_names(setting.bins, of_cases=False):
        counts = {
            name: [_per_case(repeat[in_stratum(stratum, repeat[column], setting.bins)], cases["case"]) for repeat in of]
            for name, of in lesions.items()
        }
        for model in models:
            total = sum(table[["n_reference", "missed"]].sum() for table in counts[model.name]) / len(model.repeats)
            row = {"stratum": stratum, "model": model.name, "baseline": first.name}
            row |= {"lesions": total["n_reference"], "missed": total["missed"]}
            row["detection_rate"] = 1 - total["missed"] / total["n_reference"] if total["n_reference"] else np.nan
            rows.append(row)
        with_lesion = counts[first.name][0]["n_reference"].to_numpy() > 0
        for model in others:
            tables = [[table[with_lesion] for table in counts[name]] for name in (first.name, model.name)]
            contrast = contrast_pooled(
                POOLED[FOUND], *tables, blocks.at(with_lesion), shared_seeds=setting.shared_seeds
            )
            questions.append(Question({"stratum": stratum, "model": model.name}, +1, contrast))
    judged = judge(questions, len(blocks)).drop(
        columns=["baseline_mean", "model_mean", "wins", "ties", "losses", "detectable"]
    )
    table = pd.DataFrame(rows).merge(judged, on=["stratum", "model"], how="left")
    return table.fillna({"verdict": ""})


def _per_case(lesions: pd.DataFrame, cases: Sequence[str]) -> pd.DataFrame:
    """Lesions and missed ones per case, 0 in cases without such a lesion."""
    table = pd.DataFrame({"case": lesions["case"], "n_reference": 1.0, "missed": ~lesions["detected"].astype(bool)})
    return table.groupby("case").sum().reindex(cases, fill_value=0.0).astype(float).reset_index(drop=True)
