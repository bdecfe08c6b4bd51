"""Pages that open from disk with no network: the template, Vega's scripts and data, in one file."""

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import altair as alt
import jinja2
from markupsafe import Markup

from nnunetv2_sizepenalty.pages import numbers
from nnunetv2_sizepenalty.pages.theme import COLOURS, FATES, MASK_COLOURS, dark_colours

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


def render(
    template: str,
    folder: Path,
    *,
    functions: Mapping[str, Callable] | None = None,
    **context: Any,
) -> str:
    """Fills a template of `folder`, which may take from those of this package; strings are escaped.

    Args:
        template: its file name.
        functions: of the template, beside those that every page has.
        context: what the template names; `data` and `title` are the base's.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, TEMPLATES]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({name: getattr(numbers, name) for name in ("number", "interval", "percent", "plural")})
    environment.globals.update(
        json_for_script=json_for_script,
        asset=lambda name: Markup(environment.loader.get_source(environment, name)[0]),
        vega=vega_bundle,
        colours=COLOURS,
        fates=FATES,
        masks=MASK_COLOURS,
        dark_colours=dark_colours(),
    )
    environment.globals.update(functions or {})
    return environment.get_template(template).render(**context)
