"""What `evaluate` prints: the result in five lines, and the cases that had no partner."""

from collections.abc import Sequence
from pathlib import Path

from nnunetv2_sizepenalty.evaluation.summary import LabelSummary, Summary
from nnunetv2_sizepenalty.lesions import SizeUnit
from nnunetv2_sizepenalty.pages.numbers import amount, number, percent, plural

WIDTH = 16
NAMED = 10


def result_lines(summary: Summary, report: Path) -> list[str]:
    """Says what was found: four lines a label, each label's under its name where there are several, then the path of
    the report."""
    lines = []
    for name, label in summary.labels.items():
        lines += [name] if len(summary.labels) > 1 else []
        lines += [f"{heading:{WIDTH}}{text}" for heading, text in _label_lines(label, summary.unit, summary.bins.names)]
    # a terminal need not know the page's minus and dash
    return [*(line.replace("−", "-").replace("–", "-") for line in lines), f"{'report':{WIDTH}}{report}"]


def _label_lines(label: LabelSummary, unit: SizeUnit, bins: Sequence[str]) -> list[tuple[str, str]]:
    lesions, cases = label.tables.lesion_stratum(), label.tables.case_stratum()
    found = lesions.lesions - lesions.missed
    rate = f" ({percent(found / lesions.lesions)})" if lesions.lesions else ""
    sizes = [(name, label.tables.lesion_stratum(name)) for name in bins]
    per_case = number(lesions.false_positives / cases.cases)
    dice, error, absolute = (
        cases.metrics[name] for name in ("dice", unit.column("volume_error"), unit.column("absolute_volume_error"))
    )
    undefined = f" (undefined in {dice.undefined})" if dice.undefined else ""
    means = "mean " if cases.cases > 1 else ""
    return [
        ("lesions found", f"{found:,} of {lesions.lesions:,}{rate} in {plural(cases.cases, 'case')}"),
        ("by size", ", ".join(f"{name} {of.lesions - of.missed:,} of {of.lesions:,}" for name, of in sizes)),
        (
            "false positives",
            f"{lesions.false_positives:,} ({per_case} per case, {amount(lesions.false_positive_size, unit)})",
        ),
        (
            "Dice",
            f"{means}{number(dice.mean)}{undefined}, {means}{unit.quantity} error {amount(error.mean, unit)} "
            f"(absolute {amount(absolute.mean, unit)})",
        ),
    ]


def unpaired_lines(summary: Summary) -> list[str]:
    """Names the references that were scored against an empty prediction, and the predictions that went unused."""
    return [
        f"{plural(len(cases), noun)} {what}: {', '.join(cases[:NAMED])}{_more(len(cases) - NAMED)}"
        for cases, noun, what in (
            (summary.missing, "reference", "without a prediction, scored as missed"),
            (summary.without_reference, "prediction", "without a reference, unused"),
        )
        if cases
    ]


def _more(n: int) -> str:
    return f" and {n} more (summary.json)" if n > 0 else ""
