"""Axes of volumes in voxels, labelled in voxels or mL, and what every chart over the predicted volume shares."""

import altair as alt

from nnunetv2_sizepenalty.figures.explorer import formulas
from nnunetv2_sizepenalty.figures.explorer.signals import LARGEST_LESION, PATCH, silence
from nnunetv2_sizepenalty.pages.theme import colour

STEPS = 400
# Stands for the unit in axis titles, which Vega-Lite can't make expressions of; the page fills it in.
UNIT = "{unit}"
_TICKS_ML = [0, *(10.0**exponent for exponent in range(-3, 5))]
_TICKS = [0, 1, 10, 100, 1000, 10_000, 100_000]
ONE = alt.Data(values=[{}])


def volume_axis(title: str) -> alt.Axis:
    """Ticks at powers of ten of the unit."""
    in_ml = ", ".join(f"{tick:g} / voxel_ml" for tick in _TICKS_ML)
    return alt.Axis(
        title=f"{title} ({UNIT})",
        values=alt.ExprRef(f"unit == 'mL' ? [{in_ml}] : {_TICKS}"),
        labelExpr="unit == 'mL' ? format(datum.value * voxel_ml, '~r') : "
        "format(datum.value, datum.value < 1000 ? '~g' : '~s')",
        labelOverlap="greedy",
    )


def predicted_scale() -> alt.Scale:
    """From nothing to the whole patch."""
    return alt.Scale(type="symlog", constant=1, domain=[0, PATCH], nice=False)


def reference_scale() -> alt.Scale:
    """From one voxel to the largest lesion."""
    return alt.Scale(type="log", domain=[1, LARGEST_LESION], nice=False)


def predicted_x(column: str = "p") -> alt.X:
    return alt.X(f"{column}:Q", scale=predicted_scale(), axis=volume_axis("predicted volume"))


def predicted_at(step: str, steps: int = STEPS) -> str:
    """An expression: the predicted volume at a step of the symmetric logarithmic axis, 0 at the first."""
    return f"exp(clamp(({step}) / {steps}, 0, 1) * log({PATCH + 1})) - 1"


def reference_at(step: str, steps: int = STEPS) -> str:
    """An expression: the reference volume at a step of the logarithmic axis, 1 at the first."""
    return f"exp(clamp(({step}) / {steps}, 0, 1) * log({LARGEST_LESION}))"


def steps() -> alt.Data:
    return alt.Data(sequence=alt.SequenceParams(start=0, stop=STEPS + 1, step=1, **{"as": "i"}))


def over_predictions() -> alt.Chart:
    """Rows over the predicted volume `p` at the reference volume of the slider: S, its slope, the errors, silence."""
    return alt.Chart(steps()).transform_calculate(
        p=predicted_at("datum.i"),
        penalty=formulas.penalty("datum.p", "v_g"),
        added="lambda_s * datum.penalty",
        slope=formulas.slope("datum.p", "v_g"),
        relative=formulas.relative_volume_error("datum.p", "v_g"),
        log_ratio=formulas.log_volume_ratio("datum.p", "v_g"),
        silence=silence("datum.p", "v_g"),
    )


def shaded(base: alt.Chart, words_at: float | None = 0.5) -> list[alt.Chart]:
    """The regions without a gradient, or with a fading one; `words_at`: the share of the height where words say so."""
    regions = (
        base.transform_filter("datum.silence != ''")
        .transform_calculate(
            low=predicted_at("datum.i - 0.5"), high=predicted_at("datum.i + 0.5"), above="datum.p > v_g"
        )
        .transform_aggregate(low="min(low)", high="max(high)", groupby=["silence", "above"])
    )
    rects = regions.mark_rect(color=colour("silent")).encode(x=predicted_x("low"), x2="high:Q")
    middle = "exp((log(datum.low + 1) + log(datum.high + 1)) / 2) - 1"
    text = (
        # where there is room for the words
        regions.transform_filter(f"width * log((datum.high + 1) / (datum.low + 1)) / log({PATCH + 1}) > 108")
        .transform_calculate(middle=middle)
        .mark_text(
            color=colour("missed"),
            fontSize=12,
            fontWeight=600,
            lineBreak="\n",
            baseline="middle",
            y=alt.ExprRef(f"{words_at} * height"),
        )
        .encode(x=predicted_x("middle"), text="silence:N")
    )
    return [rects] if words_at is None else [rects, text]


def reference_rule() -> list[alt.Chart]:
    """Where the prediction has the reference's volume."""
    base = alt.Chart(ONE).transform_calculate(p="v_g")
    rule = base.mark_rule(color=colour("muted"), strokeDash=[3, 4]).encode(x=predicted_x())
    words = {"align": alt.ExprRef("v_g < 2000 ? 'left' : 'right'"), "dx": alt.ExprRef("v_g < 2000 ? 5 : -5")}
    text = base.mark_text(y=-7, color=colour("muted"), baseline="bottom", **words).encode(
        x=predicted_x(), text=alt.value("right volume")
    )
    return [rule, text]


def here(x: alt.X, y: alt.Y, **columns: str) -> list[alt.Chart]:
    """The point where the sliders stand; `columns`: expressions of its coordinates."""
    base = alt.Chart(ONE).transform_calculate(**columns).encode(x=x, y=y)
    return [
        base.mark_point(filled=True, size=190, color=colour("paper"), opacity=1),
        base.mark_point(filled=True, size=110, color=colour("ink"), opacity=1),
    ]
