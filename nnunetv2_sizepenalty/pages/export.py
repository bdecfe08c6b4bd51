"""Charts as specs for the page and as PNG and SVG files."""

import copy
from pathlib import Path
from typing import Any

import altair as alt

from nnunetv2_sizepenalty.atomic import atomic_file
from nnunetv2_sizepenalty.pages.theme import FIGURE_WIDTH, chart_config


def spec(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """A chart as the page embeds it: without data of its own names, config and size, which the page gives."""
    with alt.data_transformers.enable("default", consolidate_datasets=False), alt.theme.enable("none"):
        return chart.to_dict()


def write_figure(spec: dict[str, Any], datasets: dict[str, Any], stem: Path, width: int = FIGURE_WIDTH) -> None:
    """Writes `stem`.svg and `stem`.png (twice the size) of a spec from `spec()`, on white."""
    import vl_convert

    whole = copy.deepcopy(spec)
    whole["datasets"] = {**whole.get("datasets", {}), **datasets}
    whole["config"] = chart_config()
    if "layer" in whole or "mark" in whole:
        whole.setdefault("width", width)
    whole["background"] = "white"
    svg = vl_convert.vegalite_to_svg(whole)
    with atomic_file(stem.with_name(stem.name + ".svg")) as path:
        path.write_text(svg, encoding="utf-8")
    with atomic_file(stem.with_name(stem.name + ".png")) as path:
        path.write_bytes(vl_convert.svg_to_png(svg, scale=2))
