"""The figure of the variants draws each modifier by the code that trains."""

from nnunetv2_sizepenalty.figures.variants import draw, variants_figure
from nnunetv2_sizepenalty.trainers.names import MODIFIERS


def test_every_variant_of_s_has_a_panel():
    figure = variants_figure()
    text = " ".join(
        part.get_text()
        for axes in figure.axes
        for part in (axes.title, *axes.get_xticklabels(), *(axes.get_legend().get_texts() if axes.get_legend() else ()))
    )
    # values of S are in the thesis's figure
    of_s = [m for m in MODIFIERS if m.letters == "S" and m.attribute not in ("size_weight", "cap")]
    variants = [m.example for m in [*of_s, *(m for m in MODIFIERS if m.attribute in ("prior_bias", "sampling"))]]
    assert len(variants) > 10
    assert [name for name in variants if f"_{name}" not in text] == []


def test_it_is_the_same_at_every_call(tmp_path):
    for name in ("a.svg", "b.svg"):
        draw(tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
