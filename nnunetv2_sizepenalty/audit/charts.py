"""Charts of a class: what lesions keep, who gets the forced patches, and what S weighs."""

from typing import Any

import altair as alt
import pandas as pd

from nnunetv2_sizepenalty.audit.dataset import AuditedDataset
from nnunetv2_sizepenalty.audit.sizes import by_size
from nnunetv2_sizepenalty.pages.axes import CROSS, PLAIN, LogAxis
from nnunetv2_sizepenalty.pages.export import spec
from nnunetv2_sizepenalty.pages.numbers import size_name
from nnunetv2_sizepenalty.pages.theme import SERIES, colour

SHARES = {
    "lesions": "of the lesions",
    "by_voxel": "of centres, a voxel drawn",
    "by_lesion": "of centres, a lesion drawn",
}
WEIGHTS = {"patch_weight": "all lesion in the patch", "own_weight": "this lesion alone"}
COLUMNS = ("case", "size", "voxels", "kept", *WEIGHTS)


def label_charts(audit: AuditedDataset, label: str) -> dict[str, dict[str, Any]]:
    """Specs by name, those alone that have something to show."""
    lesions = audit.lesions[audit.lesions["label"] == label]
    charts = {}
    if len(lesions):
        charts["shares"] = spec(share_chart(by_size(audit, label)))
    if lesions["kept"].notna().any():
        charts["kept"] = spec(kept_chart(lesions, audit.bins.unit.name))
        charts["weights"] = spec(weight_chart(lesions, audit.bins.unit.name))
    return charts


def share_chart(rows: pd.DataFrame) -> alt.Chart:
    """Draws each size's share of the lesions, and of the forced centres under both samplings where a plan is known.

    Args:
        rows: `sizes.by_size`.
    """
    rows = rows.assign(lesions=rows["lesions"] / rows["lesions"].sum(), bin=rows["size"].map(size_name))
    shown = [key for key in SHARES if rows[key].notna().any()]
    long = rows.melt(["bin"], shown, "share", "value").assign(share=lambda table: table["share"].map(SHARES))
    names, order = list(rows["bin"]), [SHARES[key] for key in shown]
    colours = [colour("muted"), *(light for light, _ in SERIES[:2])]
    share = alt.Color(
        "share:N", scale=alt.Scale(domain=order, range=colours[: len(order)]), legend=alt.Legend(title=None, columns=1)
    )
    x = alt.X("value:Q", axis=alt.Axis(title=None, format=".0%", grid=True, tickCount=5), scale=alt.Scale(domainMin=0))
    y = alt.Y("bin:N", sort=names, axis=alt.Axis(title=None, ticks=False))
    tooltip = [alt.Tooltip("bin:N", title="size"), "share:N", alt.Tooltip("value:Q", format=".1%")]
    return (
        alt.Chart(long.round(5))
        .mark_bar()
        .encode(x=x, y=y, yOffset=alt.YOffset("share:N", sort=order), color=share, tooltip=tooltip)
        .properties(height=(16 * len(order) + 12) * len(names))
    )


def _size_axis(lesions: pd.DataFrame, unit: str) -> alt.X:
    axis = LogAxis.of(lesions["size"])
    return alt.X("size:Q", scale=axis.scale, axis=axis.axis(f"lesion size ({unit})"))


def kept_chart(lesions: pd.DataFrame, unit: str) -> alt.LayerChart:
    """Voxels of each lesion at the plan's spacing against its size; the lost ones are crosses at 0."""
    kept = LogAxis.of(lesions["kept"].dropna())
    base = alt.Chart(alt.NamedData("lesions")).transform_filter("isValid(datum.kept)")
    base = base.transform_calculate(y=kept.place("kept"))
    x = _size_axis(lesions, unit)
    y = alt.Y("y:Q", scale=kept.scale, axis=kept.axis("voxels at the plan's spacing"))
    tooltip = ["case:N", alt.Tooltip("size:Q", title=f"size ({unit})", format=".3~g"), "voxels:Q", "kept:Q"]
    dots = base.transform_filter("datum.kept > 0").mark_circle(size=40, opacity=0.5, color=colour("found"))
    lost = base.transform_filter("datum.kept == 0").mark_point(
        shape=CROSS, size=62, strokeWidth=2, opacity=0.9, color=colour("missed")
    )
    return alt.layer(*(marks.encode(x=x, y=y, tooltip=tooltip) for marks in (dots, lost))).properties(height=280)


def weight_chart(lesions: pd.DataFrame, unit: str) -> alt.LayerChart:
    """S's weight of each lesion against its size: of all that its patches hold, and of the lesion alone."""
    base = alt.Chart(alt.NamedData("lesions")).transform_fold(list(WEIGHTS), as_=["kind", "weight"])
    base = base.transform_filter("isValid(datum.weight)")
    order = list(WEIGHTS.values())
    base = base.transform_calculate(of=f"datum.kind == 'own_weight' ? '{order[1]}' : '{order[0]}'")
    scale = alt.Scale(domain=order, range=[light for light, _ in SERIES[:2]])
    legend = alt.Legend(title=None, columns=1)
    x = _size_axis(lesions, unit)
    axis = alt.Axis(title="weight of S", grid=True, values=[0, 0.25, 0.5, 0.75, 1], labelExpr=PLAIN)
    tooltip = [
        "case:N",
        alt.Tooltip("size:Q", title=f"size ({unit})", format=".3~g"),
        alt.Tooltip("of:N", title="V"),
        alt.Tooltip("weight:Q", format=".2f"),
    ]
    marks = base.mark_point(filled=True, size=36, opacity=0.55).encode(
        x=x,
        y=alt.Y("weight:Q", scale=alt.Scale(domain=[0, 1]), axis=axis),
        color=alt.Color("of:N", scale=scale, legend=legend),
        shape=alt.Shape("of:N", scale=alt.Scale(domain=order, range=["circle", "triangle-up"]), legend=legend),
        tooltip=tooltip,
    )
    return alt.layer(marks).properties(height=280)
