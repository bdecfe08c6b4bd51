"""The audit as one HTML file that opens from disk."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from nnunetv2_sizepenalty.atomic import atomic_file
from nnunetv2_sizepenalty.audit.charts import COLUMNS, label_charts
from nnunetv2_sizepenalty.audit.checks import not_looked_at
from nnunetv2_sizepenalty.audit.dataset import AuditedDataset
from nnunetv2_sizepenalty.audit.findings import Finding
from nnunetv2_sizepenalty.audit.tables import size_table
from nnunetv2_sizepenalty.audit.words import about, folds, headline
from nnunetv2_sizepenalty.losses.size_term import TAU
from nnunetv2_sizepenalty.pages import theme
from nnunetv2_sizepenalty.pages.offline import render

TEMPLATES = Path(__file__).parent / "templates"


def write_page(path: str | Path, audit: AuditedDataset, findings: Sequence[Finding]) -> Path:
    """Writes the page, whole or not at all."""
    labels = [
        {
            "name": label,
            "table": size_table(audit, label),
            "charts": label_charts(audit, label),
            "datasets": {"lesions": _records(audit.lesions[audit.lesions["label"] == label])},
        }
        for label in audit.classes
    ]
    html = render(
        "audit.html.j2",
        TEMPLATES,
        title=f"Audit of {audit.dataset.name}",
        about=about(audit),
        headline=headline(findings),
        findings=findings,
        notes=[folds(audit), *not_looked_at(audit)],
        planned=audit.plan is not None,
        tau=TAU,
        labels=labels,
        data={
            "labels": [{key: label[key] for key in ("name", "charts", "datasets")} for label in labels],
            "chart_config": theme.chart_config(),
        },
    )
    with atomic_file(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return Path(path)


def _records(lesions: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows for the charts, with None for what is undefined."""
    rows = lesions[list(COLUMNS)].astype(object)
    rows = rows.where(rows.notna(), None).to_dict("records")
    return [{key: float(f"{v:.5g}") if isinstance(v, float) else v for key, v in row.items()} for row in rows]
