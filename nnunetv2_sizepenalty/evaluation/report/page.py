"""Pages that open from disk with no network: the template, the scripts of Vega and NiiVue, and data, in one file."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import altair as alt
import jinja2
from markupsafe import Markup

from nnunetv2_sizepenalty.evaluation.report import numbers
from nnunetv2_sizepenalty.evaluation.report.theme import COLOURS, FATES, MASK_COLOURS, dark_colours

TEMPLATES = Path(__file__).parent / "templates"


def json_for_script(tree: Any) -> Markup:
    """JSON that can stand in a `<script>` whatever strings it holds; NaN is an error."""
    text = json.dumps(tree, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def script_text(source: str) -> Markup:
    """JavaScript that can stand in a `<script>`: nothing in its strings ends or nests the element."""
    return Markup(re.sub(r"<(?=/script|script|!--)", r"\\x3c", source, flags=re.IGNORECASE))


@cache
def vega_bundle() -> Markup:
    """Vega, Vega-Lite (the version that altair writes for) and vega-embed, from vl-convert."""
    import vl_convert

    major, minor = alt.SCHEMA_VERSION.lstrip("v").split(".")[:2]
    return script_text(vl_convert.javascript_bundle(vl_version=f"{major}.{minor}"))


@cache
def niivue_bundle() -> Markup:
    """NiiVue, from the nilearn package."""
    import nilearn

    return script_text((Path(nilearn.__file__).parent / "_assets" / "js" / "niivue.umd.js").read_text(encoding="utf-8"))


def render_page(template: str, **context: Any) -> str:
    """Fills a template of this folder; strings are escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=numbers.number, interval=numbers.interval, percent=numbers.percent, plural=numbers.plural
    )
    environment.globals.update(
        json_for_script=json_for_script,
        asset=lambda name: Markup((TEMPLATES / name).read_text(encoding="utf-8")),
        vega=vega_bundle,
        niivue=niivue_bundle,
        colours=COLOURS,
        fates=FATES,
        masks=MASK_COLOURS,
        dark_colours=dark_colours(),
    )
    return environment.get_template(template).render(**context)
