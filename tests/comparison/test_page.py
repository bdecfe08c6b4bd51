"""compare.html, its tables and figures, through the command."""

import re

import pandas as pd
import pytest
from browsers import open_page

from nnunetv2_sizepenalty.cli.main import main
from nnunetv2_sizepenalty.evaluation.paired import compare_paired
from nnunetv2_sizepenalty.evaluation.records import read_evaluation

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def out(masks, tmp_path_factory):
    """`bad` and `good` with froc outputs and images."""
    folder = tmp_path_factory.mktemp("comparison") / "out"
    named = {kind: [f"{name}={path(name)}" for name in ("bad", "good")] for kind, path in (
        ("evaluation", masks.evaluation), ("froc", masks.froc),
    )}  # fmt: skip
    arguments = [*named["evaluation"], "--froc", *named["froc"], "--images", str(masks.images), "-o", str(folder)]
    assert not main(["compare", *arguments])
    return folder


def test_tables_hold_what_paired_computes(out, masks):
    table = pd.read_csv(out / "differences.csv")
    own = table[(table["reading"] == "own") & (table["stratum"] == "all") & (table["metric"] == "dice")]
    bad, good = (read_evaluation(masks.evaluation(name)).cases for name in ("bad", "good"))
    paired = compare_paired(bad["dice"], good["dice"], 1)
    assert own["difference"].item() == pytest.approx(paired.difference)
    assert own["p"].item() == pytest.approx(paired.p)
    assert own["verdict"].item() == "better"
    assert set(table["reading"]) == {"own", "matched false positives"}


def test_means_hold_every_stratum_and_model(out):
    table = pd.read_csv(out / "means.csv", keep_default_na=False)
    assert set(table["stratum"]) == {"all", "none", "< 1 mL", "1-5 mL", "< 5 mL", ">= 5 mL"}
    assert set(table["model"]) == {"bad", "good"}


@pytest.mark.parametrize("name", ["improvement", "froc", "case"])
def test_figures(out, name):
    assert (out / "figures" / f"{name}.png").stat().st_size > 5000
    assert "<svg" in (out / "figures" / f"{name}.svg").read_text()[:600]


def test_page_says_what_it_found_and_how(out):
    page = (out / "compare.html").read_text()
    assert re.search(r"<h1>good is better than bad in \d of 10 metrics", page)
    assert "can&#39;t tell" in page
    assert "below 1 mL it is the one where the models&#39; volume errors differ most" in page
    captions = re.findall(r"<caption>(.*?)</caption>", page, re.DOTALL)
    assert len(captions) >= 6
    assert all("connectivity" in caption for caption in captions)
    assert "Every model cut where it has at most 1.00 false positives per case" in page


def test_command_refuses_in_one_line(masks, tmp_path, capsys):
    assert main(["compare", f"a={masks.evaluation('good')}", f"a={masks.root}", "-o", str(tmp_path / "o")]) == 2
    assert "a is named twice" in capsys.readouterr().err
    assert main(["compare", "good", "-o", str(tmp_path / "o")]) == 2
    assert "'good' is not NAME=OUT" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_page_in_a_browser(out):
    with open_page(out / "compare.html", webgl=False) as opened:
        page = opened.page
        assert opened.complaints == []
        assert [url for url in opened.requests if not url.startswith(("file:", "data:"))] == []
        image = page.locator(".picture .image").first
        first = image.get_attribute("src")
        page.locator("[data-side] input").evaluate("s => { s.value = 0; s.dispatchEvent(new Event('input')); }")
        assert image.get_attribute("src") != first
        assert page.locator(".picture").count() == 2
    with open_page(out / "compare.html", webgl=False, width=375, height=812) as opened:
        assert opened.page.evaluate("document.documentElement.scrollWidth") == 375
