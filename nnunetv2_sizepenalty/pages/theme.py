"""Colours and chart settings of the pages and of the figures made from the same specs.

Blue, vermilion and ochre stay apart under the common colour vision deficiencies; shape says the same once more.
"""

from typing import Any

# role -> (on a light page, on a dark page)
COLOURS: dict[str, tuple[str, str]] = {
    "paper": ("#ffffff", "#15171b"),
    "ink": ("#1d2025", "#e9e7e3"),
    "muted": ("#646a73", "#a0a6af"),
    "rule": ("#e2e0db", "#31353c"),
    "found": ("#0a6cb3", "#5fb2ee"),
    "missed": ("#c4431a", "#ff8257"),
    "extra": ("#8a6100", "#e6b23c"),
    # where nothing is to be learnt: a tint behind curves
    "silent": ("#f7e4dd", "#40291f"),
}
# Models of a comparison, in the order in which they are named (Okabe and Ito's palette, darkened for white paper).
SERIES: tuple[tuple[str, str], ...] = (
    ("#0b6db4", "#5eb1ed"),
    ("#c5441b", "#ff8358"),
    ("#007d5e", "#35c79c"),
    ("#a64d83", "#e092bf"),
    ("#8b6200", "#e7b33d"),
    ("#4d5560", "#b4bac3"),
)

# A lesion's fate: colour role, Vega symbol, the character that stands for it in text.
FATES: dict[str, tuple[str, str, str]] = {
    "found": ("found", "circle", "●"),
    "missed": ("missed", "cross", "✕"),
    "false positive": ("extra", "triangle-up", "▲"),
    "unmatched": ("muted", "diamond", "◆"),
}

# The masks over an image, which is grey whatever the page's theme: RGB by code, 1 reference alone, 2 prediction alone,
# 3 both.
MASK_COLOURS: dict[int, tuple[int, int, int]] = {1: (86, 180, 233), 2: (240, 165, 30), 3: (20, 178, 132)}

FIGURE_WIDTH = 640


def colour(role: str) -> str:
    """The colour of a role on light paper; specs use these, and the page swaps them when it is dark."""
    return COLOURS[role][0]


def dark_colours() -> dict[str, str]:
    """Light colour -> dark colour, for the page."""
    return dict([*COLOURS.values(), *SERIES])


def chart_config(font: str = "sans-serif") -> dict[str, Any]:
    """Vega-Lite's `config`: quiet axes, no frame, the colours of light paper."""
    text = {"labelColor": colour("muted"), "titleColor": colour("muted"), "labelFontSize": 12, "titleFontSize": 12}
    return {
        "font": font,
        "background": None,
        "view": {"stroke": None},
        "axis": {
            **text,
            "titleFontWeight": "normal",
            "grid": False,
            "domainColor": colour("rule"),
            "tickColor": colour("rule"),
            "gridColor": colour("rule"),
            "labelPadding": 4,
            "titlePadding": 10,
        },
        "legend": {**text, "titleFontWeight": "normal", "symbolSize": 80, "orient": "top", "offset": 4},
        "text": {"color": colour("muted"), "fontSize": 12},
        "title": {"color": colour("ink"), "fontSize": 13, "anchor": "start"},
        "header": text,
    }
