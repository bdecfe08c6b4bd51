"""Writes compare.html, its tables as CSV and its figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from nnunetv2_sizepenalty.atomic import atomic_file
from nnunetv2_sizepenalty.comparison.case_figure import write_case_figure
from nnunetv2_sizepenalty.comparison.charts import training_chart
from nnunetv2_sizepenalty.comparison.label import LabelComparison, Options, compare_label
from nnunetv2_sizepenalty.comparison.matched import read_frocs
from nnunetv2_sizepenalty.comparison.models import Model, read_models
from nnunetv2_sizepenalty.comparison.patients import find_patients
from nnunetv2_sizepenalty.comparison.setting import compared_metrics
from nnunetv2_sizepenalty.comparison.tables import cases_and_patients
from nnunetv2_sizepenalty.comparison.training import COLUMNS, mean_curves, read_trainings
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.lesions import SizeUnit
from nnunetv2_sizepenalty.pages import theme
from nnunetv2_sizepenalty.pages.export import spec, write_figure
from nnunetv2_sizepenalty.pages.numbers import plural
from nnunetv2_sizepenalty.pages.offline import render
from nnunetv2_sizepenalty.report.tables import caption_end

TEMPLATES = Path(__file__).parent / "templates"


def write_comparison(
    out: str | Path,
    evaluations: Mapping[str, Sequence[Path]],
    *,
    results: Mapping[str, Sequence[Path]] | None = None,
    frocs: Mapping[str, Sequence[Path]] | None = None,
    case: str | None = None,
    images_folder: str | Path | None = None,
    cases: Path | None = None,
    patient: str | None = None,
    primary: str | None = None,
    shared_seeds: bool = False,
) -> Path:
    """Compares models case by case; the first is the baseline.

    Args:
        out: a folder for compare.html, means.csv, differences.csv, missed_lesions.csv and figures/.
        evaluations: model -> outputs of `evaluate`. Those of the same cases are repeats, of disjoint cases folds.
        results: model -> nnU-Net's results folders, for training curves and epochs.
        frocs: model -> outputs of `froc`, for the comparison at the baseline's false positives per case.
        case: to show side by side; the default is the sub-millilitre case whose volume errors differ most.
        images_folder: nnU-Net's images, for that case.
        cases: a CSV with a column `case` and one that tells the patients, named by `patient` ("patient" without it);
            without one `sub-...` of the cases' names tells them.
        primary: the metric that was named before looking.
        shared_seeds: the i-th repeats of all models were trained with the same seed, on the same batches.

    Returns:
        The path of compare.html.

    Raises:
        UserError: the outputs can't be compared, or a file that was named can't be read.
    """
    models = read_models(evaluations)
    names = [model.name for model in models]
    if unknown := [name for name in results or {} if name not in names]:
        raise UserError(f"--results {unknown[0]}=...: no such model; there are {', '.join(names)}")
    unit = models[0].runs[0].summary.unit
    if primary is not None and primary not in compared_metrics(unit):
        raise UserError(f"--primary {primary}: not among {', '.join(compared_metrics(unit))}")
    if shared_seeds and len({len(model.repeats) for model in models}) > 1:
        raise UserError("--shared-seeds: the models have different numbers of repeats; give the same seeds of each")
    patients = find_patients(list(dict.fromkeys(models[0].cases["case"])), cases, patient)
    trainings = {name: read_trainings(folders) for name, folders in (results or {}).items()}
    options = Options(
        frocs=read_frocs(models, frocs) if frocs else {},
        trainings=trainings,
        case=case,
        images_folder=None if images_folder is None else Path(images_folder),
        patients=patients,
        shared_seeds=shared_seeds,
        primary=primary,
    )
    labels = [compare_label(models, label, options) for label in models[0].runs[0].summary.labels]
    training = _training_charts(trainings) if trainings else {}
    return _write(Path(out), models, labels, training, len(set(patients.values())))


def _training_charts(trainings) -> dict[str, dict]:
    """The thesis's figure 5.2: a chart per curve."""
    curves = mean_curves(trainings)
    return {title.replace(" ", "_").lower(): spec(training_chart(curves, title)) for title in COLUMNS.values()}


def _write(
    out: Path, models: Sequence[Model], labels: Sequence[LabelComparison], training: dict[str, dict], patients: int
) -> Path:
    summary = models[0].runs[0].summary
    page = render(
        "compare.html.j2",
        TEMPLATES,
        title=" / ".join(model.name for model in models),
        about=_about(models, patients),
        labels=[label.view | {"charts": label.charts} for label in labels],
        training=list(training),
        caption_end=caption_end(summary),
        data={
            "labels": [
                {
                    "name": label.name,
                    "charts": label.charts | training,
                    "datasets": {},
                    "cases": label.view["cases"],
                    "lesions": label.lesions,
                }
                for label in labels
            ],
            "lesion_columns": _lesion_columns(summary.unit),
            "chart_config": theme.chart_config(),
        },
    )
    path = out / "compare.html"
    with atomic_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    for stem in labels[0].csv:
        with atomic_file(out / f"{stem}.csv") as temporary:
            pd.concat([label.csv[stem] for label in labels]).to_csv(temporary, index=False)
    for index, label in enumerate(labels, start=1):
        end = "" if len(labels) == 1 else f"_{index}"
        for name, chart in label.charts.items():
            write_figure(chart, {}, out / "figures" / f"{name}{end}")
        if label.side_by_side is not None:
            write_case_figure(label.side_by_side, out / "figures" / f"case{end}")
    for name, chart in training.items():
        write_figure(chart, {}, out / "figures" / name)
    return path


def _lesion_columns(unit: SizeUnit) -> list[dict[str, object]]:
    """Columns of the table of lesions, as tables.js takes them."""
    return [
        {"key": "case", "title": "case", "text": True},
        {"key": unit.column("volume"), "title": f"{unit.quantity} ({unit})", "digits": 3},
        {"key": "place", "title": "voxel x, y, z", "text": True},
        {"key": "found_by", "title": "found by", "text": True},
    ]


def _about(models: Sequence[Model], patients: int) -> str:
    """How many cases and patients, which model is the baseline, and which have folds and repeats."""
    parts = [cases_and_patients(models[0].cases["case"].nunique(), patients), f"baseline {models[0].name}"]
    for model in models:
        counts = [plural(model.folds, "fold")] * (model.folds > 1)
        counts += [plural(len(model.repeats), "repeat")] * (len(model.repeats) > 1)
        parts += [f"{model.name}: {' and '.join(counts)}"] * bool(counts)
    return " · ".join(parts)
