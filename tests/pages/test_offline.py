"""What stands in a page's scripts."""

import json

import pytest

from nnunetv2_sizepenalty.pages.offline import json_for_script, script_text, vega_bundle


def test_vega_bundle_is_whole():
    assert "vegaEmbed" in vega_bundle()


@pytest.mark.parametrize(
    ("source", "safe"),
    [
        ("a = '</script>'", r"a = '\x3c/script>'"),
        ("a = `<SCRIPT src>`", r"a = `\x3cSCRIPT src>`"),
        ("a = '<!-- x'", r"a = '\x3c!-- x'"),
        ("if (a < b) c()", "if (a < b) c()"),
    ],
)
def test_script_text(source, safe):
    assert script_text(source) == safe


def test_json_for_script_survives_hostile_strings():
    tree = {"case": "</script><!--<script>&amp;"}
    text = json_for_script(tree)
    assert not set("<>&") & set(text)
    assert json.loads(text) == tree


def test_json_for_script_refuses_nan():
    with pytest.raises(ValueError, match="JSON"):
        json_for_script({"x": float("nan")})
