"""The pages of reports and comparisons, which open from disk with no network; reports carry NiiVue as well."""

from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import Markup

from nnunetv2_sizepenalty.pages import numbers
from nnunetv2_sizepenalty.pages.offline import render, script_text

TEMPLATES = Path(__file__).parent / "templates"


@cache
def niivue_bundle() -> Markup:
    """NiiVue, from the nilearn package."""
    import nilearn

    return script_text((Path(nilearn.__file__).parent / "_assets" / "js" / "niivue.umd.js").read_text(encoding="utf-8"))


def render_page(template: str, **context: Any) -> str:
    """Fills a template of this folder; strings are escaped."""
    filters = {name: getattr(numbers, name) for name in ("number", "interval", "percent", "plural")}
    return render(template, TEMPLATES, filters=filters, functions={"niivue": niivue_bundle}, **context)
