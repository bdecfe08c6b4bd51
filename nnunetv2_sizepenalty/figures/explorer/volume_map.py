"""The panel with S over both volumes."""

import altair as alt

from nnunetv2_sizepenalty.figures.explorer import formulas
from nnunetv2_sizepenalty.figures.explorer.axes import (
    ONE,
    STEPS,
    here,
    predicted_at,
    predicted_scale,
    reference_at,
    reference_scale,
    steps,
    volume_axis,
)
from nnunetv2_sizepenalty.figures.explorer.signals import silence
from nnunetv2_sizepenalty.pages.theme import colour

# a side
CELLS = 60


def map_chart() -> alt.LayerChart:
    """S over both volumes."""
    cells = alt.Data(sequence=alt.SequenceParams(start=0, stop=CELLS * CELLS, step=1, **{"as": "i"}))
    column, row = f"(datum.i % {CELLS})", f"floor(datum.i / {CELLS})"
    x_axis, y_axis = volume_axis("reference volume"), volume_axis("predicted volume")
    x = alt.X("r:Q", scale=reference_scale(), axis=x_axis)
    y = alt.Y("p:Q", scale=predicted_scale(), axis=y_axis)
    base = alt.Chart(cells).transform_calculate(
        r=reference_at(column, CELLS),
        # a little too large, or hairlines show between cells
        r_end=reference_at(f"{column} + 1.1", CELLS),
        p=predicted_at(row, CELLS),
        p_end=predicted_at(f"{row} + 1.1", CELLS),
        reference=reference_at(f"{column} + 0.5", CELLS),
        predicted=predicted_at(f"{row} + 0.5", CELLS),
        penalty=formulas.penalty("datum.predicted", "datum.reference"),
        silent=f"{silence('datum.predicted', 'datum.reference')} != '' && !soft_cap",
    )
    place = {"x": x, "x2": "r_end:Q", "y": y, "y2": "p_end:Q"}
    shades = alt.Scale(
        type="sqrt",
        domain=[0, alt.ExprRef("cap")],
        range=[colour("paper"), colour("found")],
        interpolate="rgb",
        clamp=True,
    )
    legend = alt.Legend(title="S", gradientLength=140, gradientThickness=8, titleOrient="left", tickCount=4)
    equal = alt.Chart(steps()).transform_calculate(r=reference_at("datum.i"), p="datum.r")
    right = equal.transform_filter(f"datum.i == {round(STEPS * 0.64)}")
    return alt.layer(
        base.transform_filter("!datum.silent")
        .mark_rect()
        .encode(**place, fill=alt.Fill("penalty:Q", scale=shades, legend=legend)),
        base.transform_filter("datum.silent").mark_rect(color=colour("silent")).encode(**place),
        equal.mark_line(color=colour("muted"), strokeDash=[3, 4], strokeWidth=1.2).encode(x=x, y=y),
        right.mark_text(color=colour("muted"), align="left", dx=8, dy=5, baseline="top").encode(
            x=x, y=y, text=alt.value("right volume")
        ),
        alt.Chart(ONE).transform_calculate(r="v_g").mark_rule(color=colour("ink"), opacity=0.5).encode(x=x),
        *here(x, y, r="v_g", p="v_p"),
    ).properties(height=300)
