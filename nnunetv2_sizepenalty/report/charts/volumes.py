"""Predicted against true volume of each case."""

from dataclasses import replace

import altair as alt
import pandas as pd

from nnunetv2_sizepenalty.lesions import ML, SizeUnit
from nnunetv2_sizepenalty.pages.axes import CROSS, LogAxis, ring, selected_param, targets
from nnunetv2_sizepenalty.pages.theme import colour

# A tick's value with its sign, zero without.
SIGNED = "datum.value ? format(datum.value, '+~r') : '0'"
BOTH = ("reference", "prediction")


def case_tooltip(unit: SizeUnit) -> list[alt.Tooltip]:
    """What hovering over a case shows."""
    return [
        alt.Tooltip("case:N"),
        *(alt.Tooltip(f"{unit.column(of)}:Q", title=f"{of} ({unit})", format=".3~g") for of in BOTH),
        alt.Tooltip("dice:Q", title="Dice", format=".2f"),
        alt.Tooltip("missed:Q", title="missed lesions"),
    ]


def _dots(base: alt.Chart, x: alt.X, y: alt.Y, unit: SizeUnit) -> list[alt.Chart]:
    """One dot a case: a cross where lesions exist and none is detected."""
    none_found = "datum.missed > 0 && datum.missed == datum.n_reference"
    found = base.transform_filter(f"!({none_found})")
    missed = base.transform_filter(none_found)
    return [
        found.mark_circle(size=56, opacity=0.62, color=colour("found")).encode(x=x, y=y),
        missed.mark_point(shape=CROSS, size=66, strokeWidth=2, color=colour("missed")).encode(x=x, y=y),
        ring(base, x, y),
        targets(base, x, y, case_tooltip(unit)),
    ]


def volume_chart(cases: pd.DataFrame, unit: SizeUnit = ML) -> alt.LayerChart:
    """Predicted against reference volume, log axes, with the identity and the lines of double and half.

    Args:
        cases: `report.rows.case_rows`. Empty masks stand in the axes' gutters, marked 0.
        unit: of the sizes.
    """
    reference, prediction, x_size, y_size = map(unit.column, (*BOTH, "x", "y"))
    axis = LogAxis.of(pd.concat([cases[reference], cases[prediction]]))
    x_axis, y_axis = (
        replace(axis, has_zero=bool((cases[column] == 0).any())).axis(title)
        for column, title in (
            (reference, f"reference {unit.quantity} ({unit})"),
            (prediction, f"predicted {unit.quantity} ({unit})"),
        )
    )
    base = alt.Chart(alt.NamedData("cases")).transform_calculate(
        **{x_size: axis.place(reference), y_size: axis.place(prediction)}
    )
    x = alt.X(f"{x_size}:Q", scale=axis.scale, axis=x_axis)
    y = alt.Y(f"{y_size}:Q", scale=axis.scale, axis=y_axis)
    lines = []
    for factor, dash in ((1, [1, 0]), (2, [3, 4]), (0.5, [3, 4])):
        low, high = max(axis.low, axis.low / factor), min(axis.high, axis.high / factor)
        line = pd.DataFrame({x_size: [low, high], y_size: [low * factor, high * factor]})
        lines.append(
            alt.Chart(line)
            .mark_line(color=colour("muted"), strokeWidth=1, strokeDash=dash, opacity=0.8, clip=True)
            .encode(x=alt.X(f"{x_size}:Q", scale=axis.scale), y=alt.Y(f"{y_size}:Q", scale=axis.scale))
        )
    return alt.layer(*lines, *_dots(base, x, y, unit)).add_params(selected_param()).properties(height=360)


def bland_altman_chart(cases: pd.DataFrame, mean: float, sd: float, unit: SizeUnit = ML) -> alt.LayerChart:
    """Volume error against the mean of both volumes, with the mean error and the limits of agreement.

    Args:
        cases: `report.rows.case_rows`.
        mean, sd: of the volume error over the cases; the limits are mean +- 1.96 sd.
        unit: of the sizes.
    """
    reference, prediction, x_size, error = map(unit.column, (*BOTH, "x", "volume_error"))
    middle = (cases[reference] + cases[prediction]) / 2
    axis = LogAxis.of(middle)
    base = (
        alt.Chart(alt.NamedData("cases"))
        .transform_calculate(middle=f"(datum.{reference} + datum.{prediction}) / 2")
        .transform_calculate(**{x_size: axis.place("middle")})
    )
    largest = max(unit.edges[0], float(cases[error].abs().max()), abs(mean) + 1.96 * sd) * 1.15
    ticks = [t for power in (10**k for k in range(7)) if power < largest for t in (-power, power)]
    # Symmetric log: the errors of small and of large cases are both visible.
    scale = alt.Scale(type="symlog", constant=unit.edges[0] / 2, domain=[-largest, largest], nice=False)
    x = alt.X(f"{x_size}:Q", scale=axis.scale, axis=axis.axis(f"mean of reference and prediction ({unit})"))
    y = alt.Y(
        f"{error}:Q",
        scale=scale,
        axis=alt.Axis(
            title=f"prediction − reference ({unit})",
            values=[0, *ticks],
            labelExpr=SIGNED,
        ),
    )
    limits = pd.DataFrame(
        {
            error: [mean - 1.96 * sd, mean, mean + 1.96 * sd],
            "text": ["mean − 1.96 SD", "mean", "mean + 1.96 SD"],
        }
    )
    rules = alt.Chart(limits)
    y_rule = alt.Y(f"{error}:Q", scale=scale)
    layers = [
        rules.mark_rule(color=colour("muted"), strokeWidth=1, opacity=0.8).encode(
            y=y_rule, strokeDash=alt.condition("datum.text == 'mean'", alt.value([1, 0]), alt.value([3, 4]))
        ),
        rules.transform_calculate(label=f"datum.text + '  ' + format(datum.{error}, '+.2~f')")
        .mark_text(align="right", baseline="bottom", dy=-3, dx=-2, x="width")
        .encode(y=y_rule, text="label:N"),
    ]
    return alt.layer(*layers, *_dots(base, x, y, unit)).add_params(selected_param()).properties(height=320)
