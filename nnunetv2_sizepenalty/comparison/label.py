"""Everything that a comparison shows of one label."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from nnunetv2_sizepenalty.comparison import case_views, charts, tables, words
from nnunetv2_sizepenalty.comparison.case_figure import SideBySide, choose_case, read_side_by_side
from nnunetv2_sizepenalty.comparison.lesion_sizes import lesion_sizes
from nnunetv2_sizepenalty.comparison.lesions import cases_to_show, count_found, who_found
from nnunetv2_sizepenalty.comparison.matched import MATCHED_METRICS, Matched, match_false_positives
from nnunetv2_sizepenalty.comparison.means import means, repeat_means
from nnunetv2_sizepenalty.comparison.models import Model
from nnunetv2_sizepenalty.comparison.scores import differences
from nnunetv2_sizepenalty.comparison.setting import Setting, compared_metrics
from nnunetv2_sizepenalty.comparison.training import Training
from nnunetv2_sizepenalty.curves.froc import Froc
from nnunetv2_sizepenalty.evaluation.strata import ALL, stratum_names
from nnunetv2_sizepenalty.pages.export import spec
from nnunetv2_sizepenalty.pages.numbers import number, plural, threshold

# Cases that are read for the page, at most.
CASES = 30


@dataclass(frozen=True)
class Options:
    """What a comparison may be given beside the evaluations; see `write_comparison`."""

    frocs: Mapping[str, Sequence[Froc]] = field(default_factory=dict)
    trainings: Mapping[str, Sequence[Training]] = field(default_factory=dict)
    case: str | None = None
    images_folder: Path | None = None
    patients: Mapping[str, str] = field(default_factory=dict)
    shared_seeds: bool = False
    primary: str | None = None


@dataclass(frozen=True)
class LabelComparison:
    """One label's part of the page and of the files.

    Attributes:
        view: what the template draws.
        charts: specs by name.
        csv: tables by the stem of their file.
        lesions: rows of the page's table of lesions.
        side_by_side: the case of the figure.
    """

    name: str
    view: dict[str, Any]
    charts: dict[str, dict[str, Any]]
    csv: dict[str, pd.DataFrame]
    lesions: list[dict[str, Any]]
    side_by_side: SideBySide | None


def compare_label(models: Sequence[Model], label: str, options: Options) -> LabelComparison:
    """Computes and words the comparison of one label."""
    bins = models[0].runs[0].summary.bins
    setting = Setting(label, bins, options.patients, options.shared_seeds, options.primary)
    smallest = bins.names[0]
    of_models = means(models, setting)
    overall = differences(models, setting, [ALL])
    by_size = differences(models, setting, [s for s in stratum_names(bins, of_cases=True) if s != ALL])
    sizes = lesion_sizes(models, setting)
    specs = {}
    if (chart := charts.improvement_chart(overall)) is not None:
        specs["improvement"] = spec(chart)
    repeats = None
    if any(len(model.repeats) > 1 for model in models):
        of_repeats = repeat_means(models, setting)
        repeats = tables.repeat_table(of_repeats)
        specs["repeats"] = spec(charts.repeats_chart(of_repeats, options.primary or "dice"))
    matched, matched_view, readings = None, None, [overall.assign(reading="own"), by_size.assign(reading="own")]
    if options.frocs:
        matched = match_false_positives(models, options.frocs, label)
        points = {name: _points(frocs, label) for name, frocs in options.frocs.items()}
        specs["froc"] = spec(charts.model_froc_chart(points, matched.false_positives_per_case))
        matched_view, rows = _matched(matched, models[0].name, setting)
        readings += [rows.assign(reading="matched false positives")] if rows is not None else []
    found = who_found(models, setting)
    sides = _sides(models, label, options, found)
    side = next(sides, None)
    shown = {} if side is None else case_views.views(itertools.chain([side], sides), case_views.BUDGET)
    return LabelComparison(
        name=label,
        view={
            "name": label,
            "headline": words.headline(overall, methods=words.of_methods(models)),
            "limits": words.limits(len(setting.blocks(models[0].label(label))), overall),
            "scope": words.scope(models, shared_seeds=options.shared_seeds),
            "sentences": words.sentences(overall),
            "models": tables.models_table(of_models, options.trainings),
            "differences": tables.difference_table(overall, "Differences"),
            "repeats": repeats,
            "by_size": tables.size_table(of_models, bins.unit),
            "differences_by_size": tables.difference_table(by_size, "Differences by size", by_size=True),
            "smallest": tables.smallest_table(of_models, smallest),
            "lesions": tables.lesion_size_table(sizes, bins.unit),
            "matched": matched_view,
            "cases": shown,
            "found": count_found(found),
        },
        charts=specs,
        csv={
            "means": of_models.assign(label=label),
            "differences": pd.concat(readings).assign(label=label),
            "missed_lesions": sizes.assign(label=label),
            "lesions": found,
        },
        lesions=case_views.lesion_rows(found, bins.unit.column("volume")),
        side_by_side=side,
    )


def _points(frocs: Sequence[Froc], label: str) -> pd.DataFrame:
    points = pd.concat([froc.points for froc in frocs])
    return points[points["label"] == label]


def _matched(matched: Matched, baseline: str, setting: Setting) -> tuple[dict[str, Any], pd.DataFrame | None]:
    """The section on matched false positives: a sentence, and the table with its rows where models can be matched."""
    rate = number(matched.false_positives_per_case)
    cuts = "; ".join(
        f"{name} at {', '.join(map(threshold, thresholds))}"
        for name, thresholds in matched.thresholds.items()
        if name not in matched.out_of_reach
    )
    text = f"Every model cut where it has at most {rate} false positives per case, {baseline}'s own rate: {cuts}."
    if matched.detection:
        text += f" Here a lesion is found by {matched.detection}."
    if matched.out_of_reach:
        text += f" Out of reach at every threshold: {', '.join(matched.out_of_reach)}."
    if baseline in matched.out_of_reach or len(matched.models) < 2:
        return {"text": f"{text} Nothing is left to compare.", "table": None}, None
    # named before looking was the metric at the models' own operating points
    setting = replace(setting, primary=None)
    rows = differences(matched.models, setting, [ALL], compared_metrics(setting.bins.unit, MATCHED_METRICS))
    return {"text": text, "table": tables.difference_table(rows, "At matched false positives")}, rows


def _sides(models: Sequence[Model], label: str, options: Options, found: pd.DataFrame) -> Iterator[SideBySide]:
    """Reads the case to show first under each model, then those in which some model found what another missed."""
    chosen = choose_case(models, label, options.case)
    if chosen is None:
        return
    cases = dict([chosen])
    for case, count in cases_to_show(found).items():
        verb = "was" if count == 1 else "were"
        cases.setdefault(case, f"where {plural(count, 'lesion')} {verb} found by some models only")
    for case, why in itertools.islice(cases.items(), CASES):
        yield read_side_by_side(models, label, case, why, options.images_folder)
