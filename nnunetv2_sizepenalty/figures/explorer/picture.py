"""The panel with two predictions of one volume."""

import altair as alt

from nnunetv2_sizepenalty.figures.explorer.axes import ONE
from nnunetv2_sizepenalty.pages.theme import MASK_COLOURS, colour


def picture_chart() -> alt.LayerChart:
    """The reference and two predictions of one volume, as balls: in the right place, and beside it."""
    reference, prediction, both = (f"rgb({r}, {g}, {b})" for r, g, b in MASK_COLOURS.values())
    zoom = "min((width / 2 - 32) / (2.12 * (r_g + r_p)), (height - 24) / (2 * max(r_g, r_p)))"
    sizes = {"r_g": "pow(v_g, 1 / 3)", "r_p": "pow(v_p, 1 / 3)", "zoom": zoom}

    def ball(fill: str, radius: str, x: str) -> alt.Chart:
        """A ball of `radius` before the zoom; `x` in pixels."""
        size = alt.ExprRef(f"PI * pow(zoom * {radius}, 2)")
        mark = alt.Chart(ONE).mark_point(shape="circle", filled=True, fill=fill, stroke=None, opacity=1, size=size)
        return mark.encode(x=alt.value(alt.ExprRef(x)), y=alt.value(alt.ExprRef("height / 2")))

    left, right, half = "width / 4", "3 * width / 4", "1.06 * zoom * (r_g + r_p)"
    frames = [
        alt.Chart(ONE)
        .mark_rect(fill=None, stroke=colour("rule"), cornerRadius=6)
        .encode(
            x=alt.value(alt.ExprRef(f"{start} + 4")),
            x2=alt.value(alt.ExprRef(f"{start} + width / 2 - 4")),
            y=alt.value(0),
            y2=alt.value(alt.ExprRef("height")),
        )
        for start in ("0", "width / 2")
    ]
    return (
        alt.layer(
            *frames,
            ball(prediction, "(r_p > r_g ? r_p : 0)", left),
            ball(reference, "(r_g > r_p ? r_g : 0)", left),
            ball(both, "min(r_g, r_p)", left),
            ball(reference, "r_g", f"{right} - {half} + zoom * r_g"),
            ball(prediction, "r_p", f"{right} + {half} - zoom * r_p"),
        )
        .add_params(*(alt.param(name=name, expr=size) for name, size in sizes.items()))
        .properties(height=170)
    )
