"""A metric's spread over the cases of each size."""

import altair as alt
import pandas as pd

from nnunetv2_sizepenalty.evaluation.metrics import Metric
from nnunetv2_sizepenalty.lesions import ML, SizeUnit
from nnunetv2_sizepenalty.pages.axes import PLAIN, ring, round_ticks, selected_param, targets
from nnunetv2_sizepenalty.pages.theme import colour
from nnunetv2_sizepenalty.report.charts.volumes import case_tooltip


def box_chart(cases: pd.DataFrame, metric: Metric, strata: list[str], unit: SizeUnit = ML) -> alt.LayerChart | None:
    """Box (quartiles, whiskers to the extremes) and dots of one metric for each size of case; None without a value.

    Args:
        cases: `report.rows.case_rows`, column `stratum` among others.
        metric: a column of it.
        strata: names in order, top to bottom; those without a value stay as empty rows.
        unit: of the sizes.
    """
    values = cases[metric.name].dropna()
    if values.empty:
        return None
    bounded = metric.better > 0 and values.min() >= 0 and values.max() <= 1
    ticks = [0, 0.25, 0.5, 0.75, 1] if bounded else round_ticks(values.max())
    top = 1 if bounded else float(values.max()) * 1.05 or 1
    scale = alt.Scale(domain=[0, top], nice=False, **({} if bounded else {"type": "symlog", "constant": 1}))
    base = alt.Chart(alt.NamedData("cases")).transform_filter(f"isValid(datum['{metric.name}'])")
    axis = alt.Axis(title=None, grid=True, values=ticks, labelExpr=PLAIN, labelOverlap=True)
    x = alt.X(f"{metric.name}:Q", scale=scale, axis=axis)
    y = alt.Y("stratum:N", sort=strata, scale=alt.Scale(domain=strata), axis=alt.Axis(title=None, ticks=False))
    offset = alt.YOffset("jitter:Q", scale=alt.Scale(domain=[-0.6, 1.6]))
    dots = base.mark_circle(size=24, opacity=0.4, color=colour("found")).encode(x=x, y=y, yOffset=offset)
    box = base.mark_boxplot(
        extent="min-max",
        size=16,
        box={"fill": colour("ink"), "fillOpacity": 0.08, "stroke": colour("ink"), "strokeWidth": 1},
        median={"color": colour("ink"), "strokeWidth": 2.5},
        rule={"color": colour("ink")},
        ticks=False,
    ).encode(x=x, y=y)
    case, *sizes = case_tooltip(unit)[:3]
    tooltip = [case, alt.Tooltip(f"{metric.name}:Q", title=metric.heading, format=".3~g"), *sizes]
    marks = [ring(base, x, y).encode(yOffset=offset), targets(base, x, y, tooltip).encode(yOffset=offset)]
    return (
        alt.layer(box, dots, *marks)
        .add_params(selected_param())
        .properties(height=34 * len(strata), title=metric.heading)
    )
