"""NiiVue, the viewer that the page carries."""

from functools import cache
from pathlib import Path

from markupsafe import Markup

from nnunetv2_sizepenalty.pages.offline import script_text


@cache
def niivue_bundle() -> Markup:
    """Returns NiiVue as a script, from the nilearn package."""
    import nilearn

    return script_text((Path(nilearn.__file__).parent / "_assets" / "js" / "niivue.umd.js").read_text(encoding="utf-8"))
