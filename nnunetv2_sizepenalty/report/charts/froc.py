"""What every threshold would give: sensitivity against false positives by size, and reliability."""

from collections.abc import Sequence
from dataclasses import asdict

import altair as alt
import pandas as pd

from nnunetv2_sizepenalty.curves.calibration import Reliability
from nnunetv2_sizepenalty.curves.froc_curve import highest_sensitivity
from nnunetv2_sizepenalty.pages.axes import PLAIN
from nnunetv2_sizepenalty.pages.numbers import size_name, threshold
from nnunetv2_sizepenalty.pages.theme import SERIES, colour

TICKS = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000]
DEFAULT_THRESHOLD = 0.5
# Tell sizes apart where colours don't.
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")
# Of a line beyond its highest sensitivity.
BEYOND = [4, 4]


def split_at_best(curve: pd.DataFrame) -> pd.DataFrame:
    """The curve of one label and stratum as two lines, column `beyond`: up to its highest sensitivity, and from there.

    The point of the highest sensitivity belongs to both.
    """
    best = highest_sensitivity(curve)
    return pd.concat(
        [
            curve[curve["threshold"] >= best].assign(beyond=False),
            curve[curve["threshold"] <= best].assign(beyond=True),
        ]
    )


def froc_chart(curves: pd.DataFrame, sizes: Sequence[str]) -> alt.LayerChart:
    """Share found of the lesions of each size against the false positives per case of all sizes, a dot at 0.5.

    Each line is solid up to its highest sensitivity and dashed beyond, where components grow together.

    Args:
        curves: rows of `Froc.curves` of one label.
        sizes: strata to draw, such as "all" and the exclusive bins.
    """
    curves = curves[(curves["lesions"] > 0) & curves["stratum"].isin(sizes)]
    curves = pd.concat([split_at_best(rows) for _, rows in curves.groupby("stratum", sort=False)])
    positive = curves.loc[curves["false_positives_per_case"] > 0, "false_positives_per_case"]
    low, high = (positive.min() / 1.5, positive.max() * 1.1) if len(positive) else (0.1, 10.0)
    curves = curves.assign(
        size=curves["stratum"].map(size_name),
        x=curves["false_positives_per_case"].clip(lower=low),
        threshold_text=curves["threshold"].map(threshold),
    )
    sizes = list(curves["size"].unique())
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    x = alt.X(
        "x:Q",
        scale=scale,
        axis=alt.Axis(title="false positives per case", values=[t for t in TICKS if low <= t <= high], labelExpr=PLAIN),
    )
    y = alt.Y(
        "sensitivity:Q",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(title="lesions found", format=".0%", values=[0, 0.25, 0.5, 0.75, 1], grid=True),
    )
    of_size = {"domain": sizes}
    colours = alt.Color(
        "size:N",
        scale=alt.Scale(**of_size, range=[SERIES[i % len(SERIES)][0] for i in range(len(sizes))]),
        legend=alt.Legend(title=None),
    )
    shapes = alt.Shape(
        "size:N",
        scale=alt.Scale(**of_size, range=[SHAPES[i % len(SHAPES)] for i in range(len(sizes))]),
        legend=alt.Legend(title=None),
    )
    tooltip = [
        alt.Tooltip("size:N", title="lesions"),
        alt.Tooltip("threshold_text:N", title="threshold"),
        alt.Tooltip("sensitivity:Q", title="found", format=".1%"),
        alt.Tooltip("false_positives_per_case:Q", title="false positives per case", format=".3~g"),
    ]
    columns = ["size", "threshold", "threshold_text", "sensitivity", "false_positives_per_case", "x", "beyond"]
    base = alt.Chart(curves[columns])
    line = {"x": x, "y": y, "color": colours, "order": alt.Order("threshold:Q")}
    return alt.layer(
        base.transform_filter("!datum.beyond").mark_line(strokeWidth=2).encode(**line),
        base.transform_filter("datum.beyond").mark_line(strokeWidth=1.5, strokeDash=BEYOND).encode(**line),
        base.mark_circle(size=110, opacity=0).encode(x=x, y=y, tooltip=tooltip),
        base.transform_filter(f"abs(datum.threshold - {DEFAULT_THRESHOLD}) < 1e-9")
        .mark_point(filled=True, size=80, opacity=1)
        .encode(x=x, y=y, color=colours, shape=shapes),
    ).properties(height=340)


def reliability_chart(reliability: Reliability) -> alt.LayerChart:
    """Observed share of lesion voxels against the predicted probability; the diagonal is perfect calibration."""
    points = pd.DataFrame(asdict(reliability))
    axis = {"values": [0, 0.25, 0.5, 0.75, 1], "labelExpr": PLAIN}
    x = alt.X("probability:Q", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(title="probability", **axis))
    y = alt.Y("observed:Q", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(title="share that is lesion", **axis))
    diagonal = alt.Chart(pd.DataFrame({"probability": [0, 1], "observed": [0, 1]}))
    tooltip = [
        alt.Tooltip("probability:Q", format=".2f"),
        alt.Tooltip("observed:Q", title="is lesion", format=".1%"),
        alt.Tooltip("voxels:Q", format=","),
    ]
    base = alt.Chart(points)
    return alt.layer(
        diagonal.mark_line(color=colour("muted"), strokeWidth=1, strokeDash=[3, 4]).encode(x=x, y=y),
        base.mark_line(color=colour("found"), strokeWidth=2).encode(x=x, y=y),
        base.mark_circle(color=colour("found"), opacity=1, size=50).encode(x=x, y=y, tooltip=tooltip),
    ).properties(height=300)
