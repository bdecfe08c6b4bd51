"""Everything that a comparison shows of one label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from nnunetv2_sizepenalty.comparison import charts, scores, tables, words
from nnunetv2_sizepenalty.comparison.case_figure import SideBySide, choose_case, read_side_by_side
from nnunetv2_sizepenalty.comparison.matched import MATCHED_METRICS, Matched, match_false_positives
from nnunetv2_sizepenalty.comparison.models import Model
from nnunetv2_sizepenalty.comparison.training import Training
from nnunetv2_sizepenalty.curves.froc import Froc
from nnunetv2_sizepenalty.evaluation.strata import ALL, stratum_names
from nnunetv2_sizepenalty.lesions import SizeBins
from nnunetv2_sizepenalty.pages.export import spec
from nnunetv2_sizepenalty.pages.numbers import number, threshold
from nnunetv2_sizepenalty.report.slices import image_url, overlay_url, shown_slices


@dataclass(frozen=True)
class Options:
    """What a comparison may be given beside the evaluations; see `write_comparison`."""

    frocs: Mapping[str, Sequence[Froc]] = field(default_factory=dict)
    trainings: Mapping[str, Sequence[Training]] = field(default_factory=dict)
    case: str | None = None
    images_folder: Path | None = None


@dataclass(frozen=True)
class LabelComparison:
    """`view` is what the template draws, `charts` the specs by name, `csv` the tables by the stem of their file."""

    name: str
    view: dict[str, Any]
    charts: dict[str, dict[str, Any]]
    csv: dict[str, pd.DataFrame]
    side_by_side: SideBySide | None


def compare_label(models: Sequence[Model], label: str, options: Options) -> LabelComparison:
    """Computes and words the comparison of one label."""
    bins = models[0].runs[0].summary.bins
    smallest = bins.names[0]
    means = scores.means(models, label, bins)
    overall = scores.differences(models, label, bins, [ALL])
    by_size = scores.differences(models, label, bins, [s for s in stratum_names(bins, of_cases=True) if s != ALL])
    sizes = scores.lesion_sizes(models, label, bins)
    specs = {}
    if (chart := charts.improvement_chart(overall)) is not None:
        specs["improvement"] = spec(chart)
    matched, matched_view, readings = None, None, [overall.assign(reading="own"), by_size.assign(reading="own")]
    if options.frocs:
        matched = match_false_positives(models, options.frocs, label)
        points = {name: _points(frocs, label) for name, frocs in options.frocs.items()}
        specs["froc"] = spec(charts.model_froc_chart(points, matched.false_positives_per_case))
        matched_view, rows = _matched(matched, models[0].name, label, bins)
        readings += [rows.assign(reading="matched false positives")] if rows is not None else []
    side = _side_by_side(models, label, options)
    return LabelComparison(
        name=label,
        view={
            "name": label,
            "headline": words.headline(overall),
            "sentences": words.sentences(overall),
            "models": tables.models_table(means, options.trainings),
            "differences": tables.difference_table(overall, "Differences"),
            "by_size": tables.size_table(means, bins.unit),
            "differences_by_size": tables.difference_table(by_size, "Differences by size", by_size=True),
            "smallest": tables.smallest_table(means, smallest),
            "lesions": tables.lesion_size_table(sizes, bins.unit),
            "matched": matched_view,
            "case": None if side is None else _case_view(side),
        },
        charts=specs,
        csv={
            "means": means.assign(label=label),
            "differences": pd.concat(readings).assign(label=label),
            "missed_lesions": sizes.assign(label=label),
        },
        side_by_side=side,
    )


def _points(frocs: Sequence[Froc], label: str) -> pd.DataFrame:
    points = pd.concat([froc.points for froc in frocs])
    return points[points["label"] == label]


def _matched(matched: Matched, baseline: str, label: str, bins: SizeBins) -> tuple[dict[str, Any], pd.DataFrame | None]:
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
    rows = scores.differences(matched.models, label, bins, [ALL], MATCHED_METRICS)
    return {"text": text, "table": tables.difference_table(rows, "At matched false positives")}, rows


def _side_by_side(models: Sequence[Model], label: str, options: Options) -> SideBySide | None:
    """The case under each model; None where no case has a lesion."""
    chosen = choose_case(models, label, options.case)
    return None if chosen is None else read_side_by_side(models, label, *chosen, options.images_folder)


def _case_view(side: SideBySide) -> dict[str, Any]:
    """The case's slices as pictures, the one with most of the reference first shown."""
    z = shown_slices(side.scan)
    images = None if side.scan.image is None else [image_url(side.scan, at) for at in z]
    x_mm, y_mm = side.scan.spacing_mm[:2] * side.scan.shape[:2]
    return {
        "case": side.case,
        "why": side.why,
        "ratio": round(float(x_mm / y_mm), 4),
        "first": z.index(side.z) if side.z in z else 0,
        "count": len(z),
        "images": images,
        "panels": [
            {"model": name, "caption": caption, "masks": [overlay_url(side.scan, name, at) for at in z]}
            for name, caption in side.captions.items()
        ],
    }
