"""Each lesion at its volume: found, missed, false positive."""

import altair as alt
import pandas as pd

from nnunetv2_sizepenalty.lesions import SizeBins, SizeUnit
from nnunetv2_sizepenalty.pages.axes import CROSS, LogAxis, ring, selected_param, targets
from nnunetv2_sizepenalty.pages.theme import colour

# Lanes above and below the curve's range of 0 to 1.
LANES = {"found": (1.08, 1.34), "missed": (-0.34, -0.08)}


def _tooltip(unit: SizeUnit) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("case:N"),
        alt.Tooltip("fate:N", title="lesion"),
        alt.Tooltip(f"{unit.column('volume')}:Q", title=f"{unit.quantity} ({unit})", format=".3~g"),
        alt.Tooltip("dice:Q", title="Dice", format=".2f"),
    ]


def _lane(fate: str, axis: LogAxis, unit: SizeUnit) -> list[alt.Chart]:
    """Dots of the lesions of one fate in their lane, with the targets and the ring."""
    low, high = LANES[fate]
    base = (
        alt.Chart(alt.NamedData("lesions"))
        .transform_filter(f"datum.fate == '{fate}'")
        .transform_calculate(y=f"{low} + {high - low:.4g} * datum.jitter")
    )
    x, y = alt.X(f"{unit.column('volume')}:Q", scale=axis.scale), alt.Y("y:Q")
    if fate == "found":
        dots = base.mark_circle(size=46, opacity=0.62, color=colour("found"))
    else:
        dots = base.mark_point(shape=CROSS, size=62, strokeWidth=2, opacity=0.9, color=colour("missed"))
    name = (
        alt.Chart(pd.DataFrame({"y": [(low + high) / 2], "name": [fate]}))
        .mark_text(align="right", x=-9, color=colour(fate), fontWeight="bold")
        .encode(y=y, text="name:N")
    )
    return [name, dots.encode(x=x, y=y), ring(base, x, y), targets(base, x, y, _tooltip(unit))]


def _edges(bins: SizeBins, axis: LogAxis) -> alt.Chart:
    """Faint rules where one size bin ends and the next begins."""
    edges = pd.DataFrame({"edge": [e for e in bins.edges if axis.low < e < axis.high]})
    return (
        alt.Chart(edges)
        .mark_rule(color=colour("muted"), strokeDash=[2, 4], opacity=0.6)
        .encode(x=alt.X("edge:Q", scale=axis.scale))
    )


def detection_chart(lesions: pd.DataFrame, curve: pd.DataFrame | None, bins: SizeBins) -> alt.LayerChart:
    """Found lesions above, missed ones below, and between them the share that is found as a function of volume.

    Args:
        lesions: `report.rows.lesion_rows`.
        curve: `detection_curve`, or None.
        bins: of size.
    """
    unit, volume = bins.unit, bins.unit.column("volume")
    axis = LogAxis.of(lesions.loc[lesions["kind"] == "reference", volume])
    x = alt.X(f"{volume}:Q", scale=axis.scale, axis=axis.axis(f"lesion {unit.quantity} ({unit})"))
    shares = (
        {"title": None, "values": []} if curve is None else {"title": "share found", "values": [0, 0.25, 0.5, 0.75, 1]}
    )
    y_axis = alt.Axis(format=".0%", grid=True, **shares)
    y_scale = alt.Scale(domain=[-0.4, 1.4], nice=False)
    layers = [_edges(bins, axis)]
    if curve is not None:
        base = alt.Chart(curve)
        band = base.mark_area(color=colour("ink"), opacity=0.1, line=False)
        layers += [
            band.encode(x=x, y=alt.Y("low:Q", scale=y_scale, axis=y_axis), y2="high:Q"),
            base.mark_line(color=colour("ink"), strokeWidth=2).encode(x=x, y=alt.Y("rate:Q", scale=y_scale)),
        ]
    else:
        empty = alt.Chart(pd.DataFrame({volume: [axis.low], "rate": [0]})).mark_point(opacity=0)
        layers.append(empty.encode(x=x, y=alt.Y("rate:Q", scale=y_scale, axis=y_axis)))
    layers += [*_lane("found", axis, unit), *_lane("missed", axis, unit)]
    return alt.layer(*layers).add_params(selected_param()).properties(height=320 if curve is not None else 180)


def false_positive_chart(lesions: pd.DataFrame, bins: SizeBins) -> alt.LayerChart:
    """Each false positive at its volume."""
    unit, volume = bins.unit, bins.unit.column("volume")
    axis = LogAxis.of(lesions.loc[lesions["kind"] == "false_positive", volume])
    base = alt.Chart(alt.NamedData("lesions")).transform_filter("datum.fate == 'false positive'")
    x = alt.X(f"{volume}:Q", scale=axis.scale, axis=axis.axis(f"{unit.quantity} of the false positive ({unit})"))
    y = alt.Y("jitter:Q", axis=None, scale=alt.Scale(domain=[-0.15, 1.15]))
    dots = base.mark_point(shape="triangle-up", filled=True, size=64, opacity=0.7, color=colour("extra"))
    return (
        alt.layer(_edges(bins, axis), dots.encode(x=x, y=y), ring(base, x, y), targets(base, x, y, _tooltip(unit)))
        .add_params(selected_param())
        .properties(height=110)
    )
