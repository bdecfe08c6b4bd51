"""compare.html, its tables and figures, through the command."""

import itertools
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from browsers import open_page

from nnunetv2_sizepenalty.cli.main import main
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


def test_tables_hold_what_the_test_says(out, masks):
    table = pd.read_csv(out / "differences.csv")
    own = table[(table["reading"] == "own") & (table["stratum"] == "all") & (table["metric"] == "dice")]
    bad, good = (read_evaluation(masks.evaluation(name)).cases for name in ("bad", "good"))
    difference = (good["dice"] - bad["dice"]).to_numpy()
    assert own["difference"].item() == pytest.approx(difference.mean())
    sums = [abs(np.dot(signs, difference)) for signs in itertools.product((1, -1), repeat=10)]
    assert own["p"].item() == pytest.approx(np.mean(np.array(sums) >= abs(difference.sum()) - 1e-9))
    assert own["patients"].item() == 10
    assert own["verdict"].item() == "better"
    assert set(table["reading"]) == {"own", "matched false positives"}
    assert {"lesion_f1", "absolute_volume_error_ml", "volume_weighted_dice", "lin_ccc"} <= set(table["metric"])


def test_who_found_which_lesion(out, masks):
    table = pd.read_csv(out / "lesions.csv").set_index("case")
    assert table["volume_ml"].is_monotonic_decreasing
    for name in ("bad", "good"):
        lesions = read_evaluation(masks.evaluation(name)).lesions.query("kind == 'reference'").set_index("case")
        assert (table[f"found by {name}"] == lesions["detected"].reindex(table.index)).all()
    assert table.loc["case_00", "found_by"] == "good"
    assert table.loc["case_09", "found_by"] == "both"


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
    assert re.search(r"<h1>Of these two trained models, good is better than bad in \d+ of 16 metrics", page)
    assert "10 patients can show no p below 0.0020" in page
    assert "about these two trained models, never about methods" in page
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
    good, bad = (f"{name}={masks.evaluation(name)}" for name in ("good", "bad"))
    for options, words in (
        (["--primary", "nothing"], "--primary nothing: not among dice, "),
        (["--patient", "who"], "--patient who: a column of which table"),
        (["--cases", str(masks.root / "no.csv")], "no.csv: cannot be read"),
    ):
        assert main(["compare", bad, good, *options, "-o", str(tmp_path / "o")]) == 2
        assert words in capsys.readouterr().err
    assert main(["compare", f"{bad},{masks.evaluation('bad')}", good, "--shared-seeds", "-o", str(tmp_path / "o")]) == 2
    assert "--shared-seeds: the models have different numbers of repeats" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_ten_cases_of_five_patients_show_nothing(masks, tmp_path):
    table = tmp_path / "cases.csv"
    table.write_text("case,who\n" + "".join(f"case_{i:02d},p{i // 2}\n" for i in range(10)))
    models = [f"{name}={masks.evaluation(name)}" for name in ("bad", "good")]
    options = ["--cases", str(table), "--patient", "who", "--primary", "dice"]
    assert not main(["compare", *models, *options, "-o", str(tmp_path / "out")])
    page = (tmp_path / "out" / "compare.html").read_text()
    assert "5 patients can show nothing" in page
    assert "10 cases of 5 patients" in page
    found = pd.read_csv(tmp_path / "out" / "differences.csv")
    assert set(found["verdict"]) == {"can't tell"}
    assert found["primary"].sum() == 1


def test_one_case_can_not_tell(masks, tmp_path):
    one = tmp_path / "reference"
    one.mkdir()
    shutil.copy(masks.root / "reference" / "case_09.nii.gz", one)
    models = []
    for name in ("bad", "good"):
        (tmp_path / name).mkdir()
        shutil.copy(masks.root / name / "case_09.nii.gz", tmp_path / name)
        out = tmp_path / f"e_{name}"
        assert not main(["evaluate", "-ref", str(one), "-pred", str(tmp_path / name), "-o", str(out), "-np", "1"])
        models.append(f"{name}={out}")
    assert not main(["compare", *models, "-o", str(tmp_path / "out")])
    assert "<h1>good against bad: can&#39;t tell.</h1>" in (tmp_path / "out" / "compare.html").read_text()
    assert set(pd.read_csv(tmp_path / "out" / "differences.csv")["verdict"]) == {"can't tell"}


def test_a_model_against_itself_can_not_tell(masks, tmp_path):
    models = [f"{name}={masks.evaluation('bad')}" for name in ("a", "b")]
    assert not main(["compare", *models, "-o", str(tmp_path / "out")])
    assert "<h1>b against a: can&#39;t tell.</h1>" in (tmp_path / "out" / "compare.html").read_text()


PIXEL_UNDER_THE_RING = """async (picture) => {
  const overlay = picture.querySelector(".overlay"), { left, top } = picture.querySelector(".ring").style;
  await overlay.decode();
  const { naturalWidth: width, naturalHeight: height } = overlay;
  const context = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d");
  context.drawImage(overlay, 0, 0);
  const at = (percent, size) => Math.floor((parseFloat(percent) / 100) * size);
  return [...context.getImageData(at(left, width), at(top, height), 1, 1).data];
}"""


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
        rows = page.locator("[data-lesions] tbody tr")
        assert rows.count() == 4, "found by some only"
        rows.filter(has_text="case_02").locator("button").click()
        side = page.locator("[data-side]")
        assert (side.get_attribute("data-case"), side.locator("select").input_value()) == ("case_02", "case_02")
        assert page.locator(".picture .ring:visible").count() == 2
        places = [page.locator(".picture .ring").nth(i).evaluate("r => [r.style.left, r.style.top]") for i in (0, 1)]
        assert places[0] == places[1]
        # the ring lies on the reference, which alone is blue in the panel of the model that missed the lesion
        colour = page.locator(".picture").first.evaluate(PIXEL_UNDER_THE_RING)
        assert colour[3] == 255 and colour[2] > colour[0]
        page.locator("[data-lesions] select").select_option("All lesions")
        assert rows.count() == 10
    with open_page(out / "compare.html", webgl=False, width=375, height=812) as opened:
        assert opened.page.evaluate("document.documentElement.scrollWidth") == 375
