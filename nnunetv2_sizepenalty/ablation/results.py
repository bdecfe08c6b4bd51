"""What the finished runs gave: one table, and the comparison of those models that are whole."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from nnunetv2_sizepenalty.ablation.commands import comparison
from nnunetv2_sizepenalty.ablation.process import call, open_log, write_line
from nnunetv2_sizepenalty.ablation.runs import Run
from nnunetv2_sizepenalty.ablation.state import DONE, Ablation, State
from nnunetv2_sizepenalty.curves import read_froc
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation import read_evaluation
from nnunetv2_sizepenalty.operating_point import ENSEMBLE, read_operating_point

# folder of the comparison -> the evaluation that it compares, and what that is
COMPARISONS = {
    "comparison": ("evaluation", "at each model's own operating point"),
    "comparison_at_half": ("evaluation_at_half", "at nnU-Net's own 0.5"),
}
METRICS = ("dice", "rve", "detection_rate", "missed", "false_positives")


def runs_table(ablation: Ablation, states: Mapping[str, State]) -> pd.DataFrame:
    """Makes a row per run and label, a single one for a run that isn't done."""
    rows = []
    for run in ablation.runs:
        state = states[run.key]
        row = {
            "run": run.key,
            "model": run.model,
            "dataset": run.dataset,
            "trainer": run.trained_as,
            "plans": run.plans,
            "fold": run.fold,
            "repeat": run.seed,
            "state": state.kind,
            "detail": state.detail,
        }
        rows += [row | scores for scores in _scores(run)] if state.kind == DONE else [row]
    return pd.DataFrame(rows)


def _scores(run: Run) -> list[dict[str, Any]]:
    """Takes the means over a run's cases, label by label."""
    tuned, half = (read_evaluation(run.folder / name).cases for name in ("evaluation", "evaluation_at_half"))
    froc = read_froc(run.folder / "froc")
    cuts = read_operating_point(run.folder / "operating_point").cuts[ENSEMBLE]
    rows = []
    for label in tuned["label"].unique():
        row = {
            "label": label,
            "cases": int((tuned["label"] == label).sum()),
            "threshold": cuts[label].threshold,
            "min_voxels": cuts[label].min_size,
        }
        for prefix, cases in (("", tuned), ("at_half_", half)):
            means = cases.loc[cases["label"] == label].mean(numeric_only=True)
            row |= {prefix + metric: means.get(metric) for metric in METRICS}
        summary = froc.summary.labels[label]
        row["average_precision"] = summary.voxel_average_precision.mean
        row["lesion_average_precision"] = summary.lesion_average_precision
        rows.append(row)
    return rows


def whole_models(runs: Sequence[Run], states: Mapping[str, State]) -> tuple[dict[str, list[Run]], list[str]]:
    """Finds the models that can be compared, with the repeats of which every fold is done; and says what is left out.

    A comparison is of the same cases: a model without one fold is left out, not compared on what it has.
    """
    models: dict[str, list[Run]] = {}
    lines = []
    for model in dict.fromkeys(run.model for run in runs):
        of_model = [run for run in runs if run.model == model]
        seeds = list(dict.fromkeys(run.seed for run in of_model))
        done = [seed for seed in seeds if all(states[run.key].kind == DONE for run in of_model if run.seed == seed)]
        if done:
            models[model] = [run for run in of_model if run.seed in done]
        if not done:
            lines.append(f"{model} is not compared: {_count(of_model, states)} of its {len(of_model)} runs are missing")
        elif len(done) < len(seeds):
            absent = ", ".join(str(seed) for seed in seeds if seed not in done)
            lines.append(f"{model} is compared without repeat {absent}, of which not every fold is done")
    return models, lines


def _count(runs: Sequence[Run], states: Mapping[str, State]) -> int:
    return sum(states[run.key].kind != DONE for run in runs)


def _same_cases(models: Mapping[str, list[Run]]) -> list[dict[str, list[Run]]]:
    """Groups the models that were scored on the same cases, with as many lesions in each."""
    groups: dict[Any, dict[str, list[Run]]] = {}
    for name, runs in models.items():
        tables = [read_evaluation(run.folder / "evaluation").cases for run in runs]
        cases = {
            tuple(row) for table in tables for row in table[["case", "label", "n_reference"]].itertuples(index=False)
        }
        groups.setdefault(frozenset(cases), {})[name] = runs
    return list(groups.values())


def compare(ablation: Ablation, states: Mapping[str, State]) -> tuple[list[tuple[str, Path]], list[str]]:
    """Compares all whole models, group by group of the same cases.

    Returns:
        (what it is, page) of each comparison, and lines on what was not compared and why.
    """
    models, lines = whole_models(ablation.runs, states)
    pages = []
    groups = _same_cases(models)
    for number, group in enumerate(groups, start=1):
        if len(group) < 2:
            lines.append(f"{', '.join(group)}: no other model that is whole was scored on its cases")
            continue
        for name, (evaluation, what) in COMPARISONS.items():
            folder = ablation.out / (name if len(groups) == 1 else f"{name}_{number}")
            with open_log(ablation.out / "compare.log") as log:
                try:
                    call(comparison(evaluation, group, folder), log)
                except (UserError, OSError) as error:
                    write_line(log, f"compare failed: {error}")
                    lines.append(
                        f"{', '.join(group)}: `compare` failed, its output is in {ablation.out / 'compare.log'}"
                    )
                    continue
            pages.append((f"{', '.join(group)}: {what}", folder / "compare.html"))
    return pages, lines
