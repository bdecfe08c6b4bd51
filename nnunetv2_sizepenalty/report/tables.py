"""The tables of a page: an evaluation's summary as captions, columns and cells of text."""

from collections.abc import Iterable, Sequence

import pandas as pd

from nnunetv2_sizepenalty.evaluation.metrics import Metric, metrics_in, unit_of
from nnunetv2_sizepenalty.evaluation.summary import Aggregate, Estimate, GroupTables, LabelSummary, Summary, Tables
from nnunetv2_sizepenalty.lesions import ML, SizeUnit
from nnunetv2_sizepenalty.pages.numbers import DASH, amount, interval, number, size_name
from nnunetv2_sizepenalty.pages.table import Cell, Table

SUMMARY_GROUPS: dict[str, tuple[str, ...]] = {
    "Overlap": ("dice", "iou", "pooled_dice", "volume_weighted_dice"),
    "Volume": ("reference_ml", "prediction_ml", "rve", "volume_error_ml", "absolute_volume_error_ml", "lin_ccc"),
    "Lesions": (
        "n_reference",
        "n_prediction",
        "lesion_count_error",
        "missed",
        "detection_rate",
        "lesion_sensitivity",
        "false_positives",
        "false_positive_ml",
        "lesion_precision",
        "lesion_f1",
        "specificity",
    ),
    "Lesions matched one to one": ("pq", "sq", "sq_matched", "rq", "tp", "fp", "fn", "lesion_masd"),
    "Surface": ("assd", "masd", "hd95", "nsd"),
}
# Numbers over all cases together, which have no median or spread over cases: title and definition.
POOLED: dict[str, tuple[str, str]] = {
    "pooled_dice": ("pooled Dice", "Dice of all cases' voxels taken together"),
    "volume_weighted_dice": ("volume-weighted Dice", "mean of Dice weighted by the reference volume"),
    "lin_ccc": ("Lin's concordance", "concordance correlation of predicted and reference volume"),
    "lesion_sensitivity": ("lesion sensitivity", "detected share of all cases' reference lesions"),
    "lesion_precision": ("lesion precision", "share of all cases' predicted lesions that touch a reference lesion"),
    "specificity": ("specificity", "share of the lesion-free cases whose prediction is empty"),
}
CASE_STRATA_COLUMNS = (
    "dice", "rve", "missed", "false_positives", "detection_rate", "pq", "sq", "sq_matched", "rq", "assd",
)  # fmt: skip
LESION_STRATA_COLUMNS: dict[str, str] = {
    "detection_rate": "detection rate",
    "dice": "Dice",
    "rve": "RVE",
    "lesion_f1": "lesion F1",
    "pq": "PQ",
    "sq": "SQ",
    "sq_matched": "SQ of matched",
    "rq": "RQ",
    "false_positives_per_case": "false positives per case",
}
ARROWS = {1: " ↑", 0: "", -1: " ↓"}


def metric_heading(name: str, unit: SizeUnit = ML) -> Cell:
    """`heading` of a column of cases.csv where sizes are in `unit`."""
    return heading(metrics_in(unit)[name])


def heading(metric: Metric) -> Cell:
    """Title of a metric with its unit and an arrow towards better, its definition as the note."""
    return Cell(f"{metric.heading}{ARROWS[metric.better]}", note=metric.definition)


def metric_headings(names: Iterable[str], unit: SizeUnit) -> tuple[Cell, ...]:
    """`metric_heading` of each."""
    return tuple(metric_heading(name, unit) for name in names)


def aggregate_cell(aggregate: Aggregate) -> Cell:
    """A mean over cases with its interval; a dash where no case has a value."""
    return Cell(number(aggregate.mean), interval(aggregate.low, aggregate.high), _undefined_note(aggregate))


def estimate_cell(estimate: Estimate) -> Cell:
    """A pooled number with its interval."""
    return Cell(number(estimate.value), interval(estimate.low, estimate.high))


def undefined_text(aggregate: Aggregate) -> str:
    """How many cases have no value and why ("2 empty reference, 1 no lesion matched"); empty where all have one."""
    return ", ".join(f"{count} {reason}" for reason, count in aggregate.reasons.items())


def _undefined_note(aggregate: Aggregate) -> str:
    """What hovering over a mean says of the cases that it leaves out."""
    return f"undefined: {undefined_text(aggregate)}" if aggregate.undefined else ""


def summary_table(label: LabelSummary) -> Table:
    """Every metric over all cases, under the headings of SUMMARY_GROUPS."""
    stratum = label.tables.case_stratum()
    unit = unit_of(stratum.metrics)
    columns = (*map(Cell, ("", "mean", "95 % interval", "median", "SD", "cases")), Cell("undefined", words=True))
    rows: list[tuple[Cell, ...]] = []
    for title, names in SUMMARY_GROUPS.items():
        rows.append((Cell(title.replace("Volume", unit.quantity.capitalize())),))
        for name in unit.columns(names):
            if name in POOLED:
                estimate = stratum.pooled[name]
                heading, note = (text.replace("volume", unit.quantity) for text in POOLED[name])
                if number(estimate.value) == DASH:
                    continue
                limits = interval(estimate.low, estimate.high)
                rows.append((Cell(heading, note=note), Cell(number(estimate.value)), Cell(limits), *[Cell("")] * 4))
                continue
            metric = stratum.metrics[name]
            rows.append(
                (
                    metric_heading(name, unit),
                    Cell(number(metric.mean)),
                    Cell(interval(metric.low, metric.high)),
                    Cell(number(metric.median)),
                    Cell(number(metric.sd)),
                    Cell(f"{metric.n:,}"),
                    Cell(undefined_text(metric), words=True),
                )
            )
    return Table("All metrics", "Over all cases; ↑ higher is better, ↓ lower is better.", columns, tuple(rows))


def intervals_text(kinds: Sequence[str]) -> str:
    """How the intervals of a table were made."""
    names = {"BCa": "BCa bootstrap", "percentile": "percentile bootstrap"}
    used = [names[kind] for kind in names if kind in kinds]
    return f"95 % intervals: {' or '.join(used)}, cases resampled." if used else "Too few cases for intervals."


def case_strata_table(tables: Tables) -> Table:
    """The thesis's table 5.4: means over the cases of each size, by the case's reference volume."""
    unit = unit_of(tables.case_stratum().metrics)
    rows = tuple(
        (
            Cell(size_name(stratum.name)),
            Cell(f"{stratum.cases:,}"),
            *(aggregate_cell(stratum.metrics[name]) for name in CASE_STRATA_COLUMNS),
        )
        for stratum in tables.case_strata
    )
    columns = (Cell(f"reference {unit.quantity}"), Cell("cases"), *metric_headings(CASE_STRATA_COLUMNS, unit))
    return Table(f"By the case's reference {unit.quantity}", "Means over the cases of each size.", columns, rows)


def lesion_strata_table(tables: Tables) -> Table:
    """Lesions of one size, of all cases together, by the lesion's own volume."""
    unit = tables.lesion_stratum().unit
    columns = (
        Cell(f"lesion {unit.quantity}"),
        Cell("lesions"),
        Cell("missed"),
        Cell("false positives", note="predicted lesions of this size that detect no reference lesion"),
        *map(Cell, LESION_STRATA_COLUMNS.values()),
    )
    rows = tuple(
        (
            Cell(size_name(stratum.name)),
            Cell(f"{stratum.lesions:,}"),
            Cell(f"{stratum.missed:,}"),
            Cell(f"{stratum.false_positives:,}", amount(stratum.false_positive_size, unit)),
            *(estimate_cell(stratum.estimates[name]) for name in LESION_STRATA_COLUMNS),
        )
        for stratum in tables.lesion_strata
    )
    return Table(f"By the lesion's own {unit.quantity}", "All lesions of a size taken together.", columns, rows)


def group_table(groups: GroupTables, column: str, cases: pd.DataFrame) -> Table:
    """Means over the cases of each group, the groups of one case as they are (rows of `cases`, cases.csv of the label),
    and the mean of the means (with folds: the mean of the fold means)."""
    by_case, rows = cases.set_index("case"), []
    for value in sorted({*groups.tables, *groups.single_cases}):
        if value in groups.single_cases:
            own = by_case.loc[groups.single_cases[value]]
            cells = (Cell(number(own[name])) for name in CASE_STRATA_COLUMNS)
            rows.append((Cell(value), Cell("1", groups.single_cases[value]), *cells))
        else:
            every = groups.tables[value].case_stratum()
            means = (aggregate_cell(every.metrics[name]) for name in CASE_STRATA_COLUMNS)
            rows.append((Cell(value), Cell(f"{every.cases:,}"), *means))
    if len(groups.tables) > 1:
        means = tuple(Cell(number(groups.mean_of_means.get(name))) for name in CASE_STRATA_COLUMNS)
        rows.append((Cell(f"mean over {column}"), Cell(""), *means))
    columns = (Cell(column), Cell("cases"), *metric_headings(CASE_STRATA_COLUMNS, unit_of(cases)))
    caption = "Means over the cases of each group."
    if groups.single_cases:
        caption += " A group of one case shows the case, and enters no mean."
    return Table(f"By {column}", caption, columns, tuple(rows))


def caption_end(summary: Summary) -> str:
    """What every caption ends with: the protocol's rules, connectivity among them."""
    return f"Protocol {summary.description}."
