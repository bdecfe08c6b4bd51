"""What the command prints: lesions by size, findings, and what could not be looked at."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nnunetv2_sizepenalty.audit.checks import not_looked_at
from nnunetv2_sizepenalty.audit.dataset import AuditedDataset
from nnunetv2_sizepenalty.audit.findings import ERROR, NOTE, WARNING, Finding
from nnunetv2_sizepenalty.audit.tables import size_table
from nnunetv2_sizepenalty.audit.words import about, folds, headline

STYLES = {ERROR: "bold red", WARNING: "yellow", NOTE: "cyan"}
SHOWN = 5


def print_audit(audit: AuditedDataset, findings: Sequence[Finding]) -> None:
    """Prints everything, the findings last; at most `SHOWN` places of each."""
    console = Console(highlight=False, soft_wrap=True)
    console.width = max(console.width, 100)  # the table's; a narrower terminal breaks its lines
    console.print(Text(f"{audit.dataset.name}: {about(audit)}"))
    for label in audit.classes:
        text = size_table(audit, label)
        table = Table(title=Text(label), title_justify="left", box=SIMPLE_HEAD)
        for index, column in enumerate(text.columns):
            table.add_column(Text(column.text.replace(": ", "\n")), justify="right" if index else "left", no_wrap=True)
        for row in text.rows:
            table.add_row(*(Text(cell.text) for cell in row))
        console.print(table)
    for line in (folds(audit), *not_looked_at(audit)):
        _print_with_command(console, *line)
    console.print(Text(f"\n{headline(findings)}", style="bold"))
    for finding in findings:
        console.print(Text.assemble((finding.severity, STYLES[finding.severity]), f" {finding.check}: {finding.what}"))
        for place in finding.where[:SHOWN]:
            console.print(Text(f"    {place}", style="dim"))
        if len(finding.where) > SHOWN:
            console.print(Text(f"    and {len(finding.where) - SHOWN} more", style="dim"))
        _print_with_command(console, f"    -> {finding.remedy}", finding.command)


def _print_with_command(console: Console, text: str, command: str) -> None:
    console.print(Text(text))
    if command:
        console.print(Text(f"       {command}"))
