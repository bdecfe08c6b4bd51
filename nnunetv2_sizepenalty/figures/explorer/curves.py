"""The panels with curves: S and its gradient, the errors, the weight."""

import altair as alt

from nnunetv2_sizepenalty.figures.explorer import formulas
from nnunetv2_sizepenalty.figures.explorer.axes import (
    ONE,
    STEPS,
    here,
    over_predictions,
    predicted_x,
    reference_at,
    reference_rule,
    reference_scale,
    shaded,
    steps,
    volume_axis,
)
from nnunetv2_sizepenalty.figures.explorer.signals import PATCH
from nnunetv2_sizepenalty.pages.theme import colour

HEIGHT = 240
_LINE = {"strokeWidth": 2.5, "clip": True}
# A small number in few digits, with an exponent only where it is tiny.
_SMALL = "datum.value ? format(datum.value, '.2~g') : '0'"


def loss_chart() -> alt.LayerChart:
    """S and lambda S over the predicted volume."""
    base, x = over_predictions(), predicted_x()
    scale = alt.Scale(domain=[0, alt.ExprRef("1.12 * cap")], nice=False)

    def y(column: str) -> alt.Y:
        return alt.Y(f"{column}:Q", scale=scale, axis=alt.Axis(title="S", tickCount=6, labelExpr=_SMALL))

    end = base.transform_filter(f"datum.i == {STEPS}")
    words = {"align": "right", "baseline": "bottom", "dy": -5}
    return alt.layer(
        *shaded(base),
        *reference_rule(),
        base.mark_line(color=colour("extra"), strokeDash=[5, 3], strokeWidth=1.8, clip=True).encode(x=x, y=y("added")),
        base.mark_line(color=colour("found"), **_LINE).encode(x=x, y=y("penalty")),
        end.mark_text(color=colour("found"), **words).encode(x=x, y=y("penalty"), text=alt.value("S")),
        end.transform_filter("datum.penalty - datum.added > 0.08 * cap")
        .mark_text(color=colour("extra"), **words)
        .encode(x=x, y=y("added"), text=alt.value("λ S")),
        *here(x, y("penalty"), p="v_p", penalty=formulas.penalty("v_p", "v_g")),
    ).properties(height=HEIGHT)


def gradient_chart() -> alt.LayerChart:
    """dS/dV_p over the predicted volume; lines end where it jumps."""
    base, x = over_predictions(), predicted_x()
    # the title is turned: its left end is below
    axis = alt.Axis(title="← grows it · gradient per voxel · shrinks it →", tickCount=5, labelExpr=_SMALL)
    y = alt.Y("slope:Q", scale=alt.Scale(padding=14), axis=axis)
    piece = "(datum.p > v_g) + (datum.slope == 0 ? 'none' : '')"
    zero = alt.Chart(ONE).transform_calculate(slope="0").mark_rule(color=colour("rule"), strokeWidth=1.5).encode(y=y)
    return alt.layer(
        *shaded(base, words_at=0.25),
        zero,
        *reference_rule(),
        base.transform_calculate(piece=piece)
        .mark_line(color=colour("found"), **_LINE)
        .encode(x=x, y=y, detail="piece:N"),
        *here(x, y, p="v_p", slope=formulas.slope("v_p", "v_g")),
    ).properties(height=HEIGHT)


def error_chart() -> alt.LayerChart:
    """Both errors over the predicted volume; the one that counts is drawn in full."""
    base, x = over_predictions(), predicted_x()
    largest = formulas.relative_volume_error(str(PATCH), "v_g")
    scale = alt.Scale(
        type="symlog",
        constant=1,
        domain=[0, alt.ExprRef(f"max({largest}, {formulas.log_volume_ratio('0', 'v_g')})")],
        nice=False,
    )
    ticks = [0, 1, 3, 10, 30, 100, 1000, 10_000, 100_000]
    axis = alt.Axis(title="error", values=ticks, labelExpr="format(datum.value, '~s')", labelOverlap="greedy")

    def y(column: str) -> alt.Y:
        return alt.Y(f"{column}:Q", scale=scale, axis=axis)

    def curve(column: str, name: str, chosen: str, **place: int) -> list[alt.Chart]:
        style = {"color": colour("found"), "opacity": alt.ExprRef(f"{chosen} ? 1 : 0.5")}
        width = alt.ExprRef(f"{chosen} ? 2.5 : 1.5")
        end = base.transform_filter(f"datum.i == {STEPS}")
        return [
            base.mark_line(strokeWidth=width, clip=True, **style).encode(x=x, y=y(column)),
            end.mark_text(align="right", baseline="top", **place, **style).encode(
                x=x, y=y(column), text=alt.value(name)
            ),
        ]

    cap = (
        alt.Chart(ONE)
        .transform_calculate(cap_error=f"cap / {formulas.size_weight('v_g')}")
        .transform_filter(f"datum.cap_error < {largest}")
        .encode(y=y("cap_error"))
    )
    return alt.layer(
        *shaded(base, words_at=None),
        *reference_rule(),
        cap.mark_rule(color=colour("missed"), strokeDash=[3, 4]),
        cap.mark_text(color=colour("missed"), align="left", baseline="bottom", x=6, dy=-3).encode(
            text=alt.value("error at which the cap is reached")
        ),
        *curve("relative", "relative", "!log_ratio", dx=-34, dy=2),
        *curve("log_ratio", "log ratio", "log_ratio", dx=-4, dy=9),
        *here(x, y("error"), p="v_p", error=formulas.error("v_p", "v_g")),
    ).properties(height=HEIGHT)


def weight_chart() -> alt.LayerChart:
    """exp(-V_g / tau), and the same times the gate, over the reference volume."""
    x = alt.X("r:Q", scale=reference_scale(), axis=volume_axis("reference volume"))

    def y(column: str) -> alt.Y:
        axis = alt.Axis(title="weight", values=[0, 0.25, 0.5, 0.75, 1], labelExpr=_SMALL)
        return alt.Y(f"{column}:Q", scale=alt.Scale(domain=[0, 1.04], nice=False), axis=axis)

    base = alt.Chart(steps()).transform_calculate(
        r=reference_at("datum.i"),
        weight=formulas.size_weight("datum.r"),
        gated=f"datum.weight * {formulas.gate('v_p', 'datum.r')}",
    )
    tau = alt.Chart(ONE).transform_calculate(r="tau", weight=formulas.size_weight("tau"))
    limit = (
        alt.Chart(ONE).transform_filter("gate != 'none' && gate != 'predicted'").transform_calculate(r="gate_voxels")
    )
    words = {"align": "left", "color": colour("muted"), "dx": 6}
    return alt.layer(
        tau.mark_rule(color=colour("muted"), strokeDash=[3, 4], clip=True).encode(x=x),
        tau.mark_text(baseline="bottom", dy=-4, **words).encode(x=x, y=y("weight"), text=alt.value("0.37 at τ")),
        limit.mark_rule(color=colour("extra"), strokeDash=[1, 3], strokeWidth=2, clip=True).encode(x=x),
        limit.mark_text(y=-7, baseline="bottom", color=colour("extra")).encode(x=x, text=alt.value("gate")),
        base.mark_line(color=colour("found"), **_LINE).encode(x=x, y=y("weight")),
        base.transform_filter("gate != 'none'")
        .mark_line(color=colour("extra"), strokeDash=[5, 3], strokeWidth=1.8)
        .encode(x=x, y=y("gated")),
        *here(x, y("weight"), r="v_g", weight=formulas.size_weight("v_g")),
    ).properties(height=HEIGHT)
