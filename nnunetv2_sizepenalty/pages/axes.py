"""What the charts share: log axes of volumes, the gutter where zero is drawn, the mark of what is selected."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import altair as alt
import numpy as np

from nnunetv2_sizepenalty.pages.theme import colour

# A cross drawn with two strokes, in Vega's square from -1 to 1.
CROSS = "M-0.7,-0.7L0.7,0.7M0.7,-0.7L-0.7,0.7"
# Clicking a dot or a row sets it to that row's key, so that every chart marks the same lesion or case.
SELECTED = "selected"
# A tick's value without an exponent.
PLAIN = "format(datum.value, '~r')"


def selected_param() -> alt.Parameter:
    """The chart's copy of what is selected on the page."""
    return alt.param(name=SELECTED, value="")


def ring(base: alt.Chart, x: alt.X, y: alt.Y) -> alt.Chart:
    """A ring around the selected row, empty where nothing of this chart is selected."""
    return (
        base.transform_filter(f"{SELECTED} != '' && datum.key == {SELECTED}")
        .mark_point(size=260, strokeWidth=2.5, filled=False, color=colour("ink"), opacity=1)
        .encode(x=x, y=y)
    )


def targets(base: alt.Chart, x: alt.X, y: alt.Y, tooltip: list[alt.Tooltip]) -> alt.Chart:
    """Invisible discs over the dots: large enough for a finger, and they carry the tooltip."""
    return base.mark_circle(size=240, opacity=0, cursor="pointer").encode(x=x, y=y, tooltip=tooltip)


@dataclass(frozen=True)
class LogAxis:
    """A log axis in mL that shows zero, which it hasn't, in a gutter at its lower end."""

    low: float
    high: float
    ticks: tuple[float, ...]
    has_zero: bool

    @classmethod
    def of(cls, volumes: Iterable[float]) -> "LogAxis":
        """The axis that holds all of `volumes` (mL, 0 included; 0.1 to 10 where none is positive)."""
        volumes = np.asarray(list(volumes), dtype=float)
        positive = volumes[volumes > 0]
        low, high = (positive.min(), positive.max()) if positive.size else (0.1, 10.0)
        # At least a factor of 4, or there is no tick to read it by.
        margin = max(1.25, 2 / math.sqrt(high / low))
        low, high = low / margin, high * margin
        has_zero = bool((volumes == 0).any())
        steps = (1,) if high / low > 50 else (1, 2, 5)
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = tuple(s * 10.0**d for d in decades for s in steps if low <= s * 10.0**d <= high)
        return cls(low / 2.2 if has_zero else low, high, ticks, has_zero)

    @property
    def zero(self) -> float:
        """Where zero is drawn."""
        return self.low * 1.2

    def place(self, column: str) -> str:
        """A Vega expression: the column, with 0 moved into the gutter."""
        return f"datum['{column}'] > 0 ? datum['{column}'] : {self.zero:.6g}"

    def axis(self, title: str) -> alt.Axis:
        """Ticks at 1, 10, 100 (1, 2, 5 where the range is small), and "0" in the gutter."""
        ticks = [*([self.zero] if self.has_zero else []), *self.ticks]
        label = f"datum.value < {self.zero * 1.01:.6g} ? '0' : {PLAIN}" if self.has_zero else PLAIN
        return alt.Axis(title=title, values=ticks, labelExpr=label, labelOverlap=True)

    @property
    def scale(self) -> alt.Scale:
        """The log scale."""
        return alt.Scale(type="log", domain=[self.low, self.high], nice=False)


def round_ticks(largest: float) -> list[float]:
    """0, then 1, 2, 5, 10, ... up to `largest`, halves where it is below 3: ticks of a symmetric log axis."""
    steps = [0.5] * int(largest < 3) + [s * 10.0**d for d in range(6) for s in (1, 2, 5)]
    return [0.0, *(s for s in steps if s <= largest)]


def jitter(n: int) -> np.ndarray:
    """n numbers spread over [0, 1) without clumps, the same each time."""
    return (np.arange(n) * 0.618033988749895) % 1
