"""Charts of a comparison."""

from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.curves.froc_curve import highest_sensitivity
from nnunetv2_sizepenalty.evaluation import formulas
from nnunetv2_sizepenalty.evaluation.metrics import METRICS
from nnunetv2_sizepenalty.evaluation.paired import CANNOT_TELL
from nnunetv2_sizepenalty.pages.axes import PLAIN
from nnunetv2_sizepenalty.pages.theme import SERIES, colour
from nnunetv2_sizepenalty.report.charts.froc import TICKS

SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [4, 4], [1, 3])


def _series(names: Sequence[str], choices: Sequence) -> list:
    return [choices[i % len(choices)] for i in range(len(names))]


def _model_colour(models: Sequence[str], title: str | None = None) -> alt.Color:
    """Each model in its colour, in the order in which they were named."""
    domain = alt.Scale(domain=list(models), range=[light for light, _ in _series(models, SERIES)])
    return alt.Color("model:N", scale=domain, legend=alt.Legend(title=title))


def _model_dash(models: Sequence[str]) -> alt.StrokeDash:
    scale = alt.Scale(domain=list(models), range=_series(models, DASHES))
    return alt.StrokeDash("model:N", scale=scale, legend=alt.Legend(title=None))


def relative_improvement(differences: pd.DataFrame) -> pd.DataFrame:
    """Differences as shares of the baseline's mean, positive where the model is better (the thesis's figure 5.1).

    The interval is the difference's, divided by the same mean. Rows whose baseline mean is 0 or undefined are left out.
    """
    better = differences["metric"].map(lambda name: METRICS[name].better)
    rows = differences.assign(better=better, title=differences["metric"].map(lambda name: METRICS[name].title))
    rows = rows[(rows["better"] != 0) & (rows["baseline_mean"].abs() > 0)]
    scale = rows["better"] / rows["baseline_mean"].abs()
    ends = np.sort(np.stack([rows["low"] * scale, rows["high"] * scale]), axis=0)
    return rows.assign(improvement=rows["difference"] * scale, worst=ends[0], best=ends[1])


def _common_range(rows: pd.DataFrame) -> list[float]:
    """The ends of the common axis: RVE, which nothing bounds, must not press the others together."""
    bounded = rows[rows["metric"] != "rve"]
    ends = (bounded if len(bounded) else rows)[["improvement", "worst", "best"]].to_numpy()
    low, high = min(0.0, np.nanmin(ends)), max(0.0, np.nanmax(ends))
    margin = 0.05 * (high - low) or 0.1
    return [low - margin, high + margin]


def improvement_chart(differences: pd.DataFrame) -> alt.LayerChart | None:
    """Relative improvement over the baseline with 95 % intervals; hollow where the verdict is "can't tell".

    Args:
        differences: `scores.differences` of one stratum. None where nothing can be set in relation.
    """
    rows = relative_improvement(differences)
    if rows.empty:
        return None
    models, metrics = list(rows["model"].unique()), list(rows["title"].unique())
    rows["told"] = rows["verdict"] != CANNOT_TELL
    columns = ["model", "title", "improvement", "worst", "best", "verdict", "told", "difference", "p_holm"]
    base = alt.Chart(rows[columns].round(5))
    x_axis = alt.Axis(title="improvement relative to the baseline", format="+.0%", grid=True, tickCount=7)
    scale = alt.Scale(domain=_common_range(rows), clamp=True)
    x = alt.X("improvement:Q", axis=x_axis, scale=scale)
    y = alt.Y("title:N", sort=metrics, axis=alt.Axis(title=None, ticks=False))
    offset = alt.YOffset("model:N", sort=models)
    fill = _model_colour(models)
    shape = alt.Shape(
        "model:N", scale=alt.Scale(domain=models, range=_series(models, SHAPES)), legend=alt.Legend(title=None)
    )
    tooltip = [
        alt.Tooltip("model:N"),
        alt.Tooltip("title:N", title="metric"),
        alt.Tooltip("improvement:Q", format="+.1%"),
        alt.Tooltip("difference:Q", format="+.3~g"),
        alt.Tooltip("p_holm:Q", title="p (Holm)", format=".2~g"),
        alt.Tooltip("verdict:N"),
    ]
    told, not_told = base.transform_filter("datum.told"), base.transform_filter("!datum.told")
    return alt.layer(
        alt.Chart(pd.DataFrame({"zero": [0]})).mark_rule(color=colour("ink")).encode(x=alt.X("zero:Q")),
        base.mark_rule(strokeWidth=2).encode(
            x=alt.X("worst:Q", axis=x_axis, scale=scale), x2="best:Q", y=y, yOffset=offset, color=fill
        ),
        not_told.mark_point(size=80, strokeWidth=2, fill=colour("paper"), opacity=1).encode(
            x=x, y=y, yOffset=offset, color=fill, shape=shape
        ),
        told.mark_point(size=80, filled=True, opacity=1).encode(x=x, y=y, yOffset=offset, color=fill, shape=shape),
        base.mark_circle(size=240, opacity=0).encode(x=x, y=y, yOffset=offset, tooltip=tooltip),
    ).properties(height=max(26, 18 * len(models)) * len(metrics))


def training_chart(curves: pd.DataFrame, curve: str) -> alt.LayerChart:
    """One curve over the epochs, a line per model (`training.mean_curves`)."""
    rows = curves[curves["curve"] == curve]
    models = list(rows["model"].unique())
    y = alt.Y("value:Q", scale=alt.Scale(zero=False), axis=alt.Axis(title=curve, grid=True, labelExpr=PLAIN))
    x = alt.X("epoch:Q", axis=alt.Axis(title="epoch", format="d", tickMinStep=1))
    line = alt.Chart(rows[["model", "epoch", "value"]].round(5)).mark_line(strokeWidth=1.8)
    return alt.layer(line.encode(x=x, y=y, color=_model_colour(models), strokeDash=_model_dash(models))).properties(
        height=260
    )


def model_froc_chart(points: Mapping[str, pd.DataFrame], false_positives_per_case: float) -> alt.LayerChart:
    """FROC of each model, and a rule at the rate at which they are compared.

    Args:
        points: model -> rows of `Froc.points` of one label, of all its folds and repeats.
    """
    frames = []
    for name, table in points.items():
        sums = table.groupby("threshold", as_index=False).agg(
            false_positives_per_case=("false_positives", "mean"),
            missed=("missed", "sum"),
            lesions=("n_reference", "sum"),
        )
        found = formulas.sensitivity(sums["lesions"] - sums["missed"], sums["lesions"]).value
        curve = sums.assign(model=name, sensitivity=found)
        # What lies beyond is no operating point to choose; models are told apart by their dashes.
        frames.append(curve[curve["threshold"] >= highest_sensitivity(curve)])
    curves = pd.concat(frames)
    positive = curves.loc[curves["false_positives_per_case"] > 0, "false_positives_per_case"]
    rate = [false_positives_per_case] if false_positives_per_case > 0 else []
    low, high = (min([*positive, *rate]) / 1.5, max([*positive, *rate]) * 1.1) if len(positive) else (0.1, 10.0)
    curves = curves.assign(x=curves["false_positives_per_case"].clip(lower=low))
    x = alt.X(
        "x:Q",
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(title="false positives per case", values=[t for t in TICKS if low <= t <= high], labelExpr=PLAIN),
    )
    y = alt.Y(
        "sensitivity:Q",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(title="lesions found", format=".0%", values=[0, 0.25, 0.5, 0.75, 1], grid=True),
    )
    models = list(points)
    lines = alt.Chart(curves[["model", "threshold", "sensitivity", "x"]].round(5)).mark_line(strokeWidth=2)
    rule = alt.Chart(pd.DataFrame({"x": [max(false_positives_per_case, low)]}))
    return alt.layer(
        rule.mark_rule(color=colour("muted"), strokeDash=[3, 4]).encode(x=x),
        lines.encode(x=x, y=y, color=_model_colour(models), strokeDash=_model_dash(models), order="threshold:Q"),
    ).properties(height=320)
