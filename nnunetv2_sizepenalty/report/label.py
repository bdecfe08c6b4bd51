"""Everything that the page shows of one label: sentences, tables, charts and rows."""

from typing import Any

from nnunetv2_sizepenalty.curves.froc import Froc
from nnunetv2_sizepenalty.evaluation.metrics import metrics_in
from nnunetv2_sizepenalty.evaluation.records import Evaluation
from nnunetv2_sizepenalty.evaluation.summary import CaseStratum
from nnunetv2_sizepenalty.lesions import SizeUnit
from nnunetv2_sizepenalty.pages import export
from nnunetv2_sizepenalty.pages.numbers import DASH, interval, number, size_name
from nnunetv2_sizepenalty.report import froc_section, rows, tables, words
from nnunetv2_sizepenalty.report.charts import lesions as lesion_charts
from nnunetv2_sizepenalty.report.charts import strata as strata_charts
from nnunetv2_sizepenalty.report.charts import volumes as volume_charts
from nnunetv2_sizepenalty.report.detection_curve import MIN_LESIONS, detection_curve
from nnunetv2_sizepenalty.report.embed import Embedded, locate_lesions
from nnunetv2_sizepenalty.report.oversized import oversized_mark

BOXES = ("dice", "rve", "pq", "hd95")
FACTS: dict[str, str] = {
    "dice": "mean Dice",
    "rve": "mean relative error of volume",
    "false_positives": "false positives per case",
    "rq": "mean recognition (RQ)",
}
LESION_COLUMNS = (
    "key", "case", "kind", "fate", "volume_ml", "dice", "matched_iou", "z", "y", "x", "jitter",
)  # fmt: skip
CASE_COLUMNS = (
    "key", "case", "stratum", "jitter", "n_reference", "missed", "false_positives", "reference_ml",
    "prediction_ml", "volume_error_ml", "dice", "rve", "pq", "sq", "rq", "assd", "hd95",
)  # fmt: skip


def make_label(evaluation: Evaluation, name: str, embedded: Embedded, froc: Froc | None) -> dict[str, Any]:
    """The template's and the scripts' view of a label.

    Args:
        name: the label.
        embedded: the scans that the page carries.
        froc: the same predictions' probabilities, where they were scored.
    """
    summary, unit = evaluation.summary.labels[name], evaluation.summary.unit
    cases, lesions = rows.case_rows(evaluation, name), rows.lesion_rows(evaluation, name)
    case_stratum, lesion_stratum = summary.tables.case_stratum(), summary.tables.lesion_stratum()
    curve = detection_curve(lesions[lesions["kind"] == "reference"])
    charts = _charts(evaluation, name, cases, lesions, curve)
    if froc is not None:
        charts |= froc_section.froc_charts(froc, name)
    places = locate_lesions(lesions, embedded, name)
    lesion_records = rows.records(lesions, unit.columns(LESION_COLUMNS))
    return {
        "name": name,
        "headline": words.headline(summary),
        "missed_sizes": words.missed_sizes(lesions),
        "detection": words.detection(summary),
        "false_positives": words.false_positives(summary, lesions),
        "lesion_free": words.lesion_free(summary),
        "oversized": oversized_mark(evaluation.summary, name, embedded),
        "bins": _bins(evaluation, name),
        "facts": _facts(case_stratum, unit),
        "detection_caption": _detection_caption(curve is not None, unit),
        "lesion_strata": tables.lesion_strata_table(summary.tables),
        "case_strata": tables.case_strata_table(summary.tables),
        "lesion_intervals": tables.intervals_text([e.interval for e in lesion_stratum.estimates.values()]),
        "case_intervals": tables.intervals_text([a.interval for a in case_stratum.metrics.values()]),
        "groups": [tables.group_table(groups, column, cases) for column, groups in summary.groups.items()],
        "summary": tables.summary_table(summary),
        "boxes": [chart for chart in charts if chart.startswith("box_")],
        "quantity": unit.quantity,
        "froc": None if froc is None else froc_section.froc_sentence(froc, name),
        "volume_ratios": None if froc is None else froc_section.volume_ratio_table(froc, name),
        "charts": charts,
        "datasets": {
            "cases": rows.records(cases, unit.columns(CASE_COLUMNS)),
            "lesions": [row | place for row, place in zip(lesion_records, places, strict=True)],
        },
    }


def _charts(evaluation: Evaluation, name: str, cases, lesions, curve) -> dict[str, dict]:
    """Specs by name, those alone that have something to show."""
    bins = evaluation.summary.bins
    charts = {}
    if (lesions["kind"] == "reference").any():
        charts["detection"] = lesion_charts.detection_chart(lesions, curve, bins)
    if (lesions["kind"] == "false_positive").any():
        charts["false_positives"] = lesion_charts.false_positive_chart(lesions, bins)
    charts["volumes"] = volume_charts.volume_chart(cases, bins.unit)
    error = evaluation.summary.labels[name].tables.case_stratum().metrics[bins.unit.column("volume_error")]
    if error.n > 1:
        charts["bland_altman"] = volume_charts.bland_altman_chart(cases, error.mean, error.sd, bins.unit)
    strata = rows.strata_names(bins, cases)
    for metric in BOXES:
        chart = strata_charts.box_chart(cases, metrics_in(bins.unit)[metric], strata, bins.unit)
        if chart is not None:
            charts[f"box_{metric}"] = chart
    return {key: export.spec(chart) for key, chart in charts.items()}


def _bins(evaluation: Evaluation, name: str) -> list[dict[str, Any]]:
    """Found and missed lesions of each exclusive bin."""
    tables_ = evaluation.summary.labels[name].tables
    strata = [tables_.lesion_stratum(bin_name) for bin_name in evaluation.summary.bins.names]
    if not any(stratum.lesions for stratum in strata):
        return []
    return [
        {
            "name": size_name(stratum.name),
            "lesions": stratum.lesions,
            "missed": stratum.missed,
            "found": stratum.lesions - stratum.missed,
        }
        for stratum in strata
    ]


def _facts(stratum: CaseStratum, unit: SizeUnit) -> list[dict[str, str]]:
    """The numbers set large on the first screen."""
    facts = []
    for name, title in FACTS.items():
        metric = stratum.metrics[name]
        limits = interval(metric.low, metric.high)
        title = title.replace("volume", unit.quantity)
        facts.append({"title": title, "value": number(metric.mean), "interval": limits})
    agreement = stratum.pooled["lin_ccc"]
    facts.append(
        {
            "title": f"{unit.quantity} concordance (Lin)",
            "value": number(agreement.value),
            "interval": interval(agreement.low, agreement.high),
        }
    )
    return [fact for fact in facts if fact["value"] != DASH]


def _detection_caption(has_curve: bool, unit: SizeUnit) -> str:
    """What the first chart shows."""
    size = unit.quantity
    lanes = f"Each mark is a lesion at its {size}: dots above were found, crosses below were missed."
    if has_curve:
        return f"{lanes} Curve: logistic regression of detection on log {size}, with its 95 % band (clustered by case)."
    return f"{lanes} No curve is drawn: it takes {MIN_LESIONS} lesions of several {size}s, found and missed ones mixed."
