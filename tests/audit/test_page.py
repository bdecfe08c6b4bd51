"""The page in a headless Chromium: it opens from disk, shows what was found, in light and dark and on a phone."""

import json
import re

import numpy as np
import pytest
from browsers import open_page

from nnunetv2_sizepenalty.cli.main import main

pytestmark = pytest.mark.integration

LABELS = {"background": 0, "core <b>": 1, "rim": 2}


@pytest.fixture
def page(made, tmp_path):
    """The page of a data set with two labels, a lost lesion, a case without one and a file elsewhere."""
    dataset = made()
    dataset.labels = LABELS
    dataset.write_settings()
    for number, case in enumerate(dataset.cases):
        labels = dataset.read(dataset.label(case)).copy()
        labels[:, :, 12:] *= 2
        labels[0, 1 + number, 20] = 2
        labels *= case != "c"
        dataset.write(dataset.label(case), labels, Origin=(0, 0, 9.0 * (case == "d")))
    dataset.write_plans(spacing_mm=(8, 4, 4))
    path = tmp_path / "audit.html"
    assert not main(["audit", "-d", "500", "-np", "1", "-o", str(path)])
    return path


def test_page_opens_from_disk_and_shows_the_findings(page):
    with open_page(page, webgl=False) as opened:
        tab = opened.page
        assert opened.complaints == []
        assert [url for url in opened.requests if not url.startswith(("file:", "data:"))] == []
        findings = tab.locator(".finding")
        severities = findings.evaluate_all("all => all.map((one) => one.dataset.severity)")
        assert severities == sorted(severities, key=["error", "warning", "note"].index)
        text = tab.locator(".findings").inner_text()
        assert "1 file elsewhere in space" in text
        assert "d.nii.gz: origin 0 0 9 instead of 0 0 0" in text
        assert "without a voxel at the plan's spacing of 8 x 4 x 4 mm" in text
        assert "1 case of 6 without a lesion" in text
        assert tab.locator("h1").inner_text() == "2 warnings, 1 note."
        assert "nnUNetv2_preprocess -d 500" in tab.locator("section").first.inner_text()
        # of the label that is shown
        assert tab.locator("#panel-0 .chart svg.marks").count() == 3
        rows = tab.locator("#panel-0 tbody tr").all_inner_texts()
        assert rows[1].split()[:3] == ["0.1–1", "mL", "5"]


def test_tabs_switch_labels_and_names_are_escaped(page):
    assert "core <b>" not in re.sub(r"<(script|style)\b.*?</\1>", "", page.read_text(), flags=re.DOTALL)
    with open_page(page, webgl=False) as opened:
        tab = opened.page
        assert tab.locator(".tabs button").all_inner_texts() == ["core <b>", "rim"]
        tab.locator(".tabs button").nth(1).click()
        tab.wait_for_selector("#panel-1 .chart svg.marks")
        assert tab.locator("#panel-0").is_hidden()
        assert tab.locator("#panel-1 .chart").count() == 3
        assert opened.complaints == []


@pytest.mark.parametrize(("dark", "width"), [(True, 1280), (False, 375), (True, 375)])
def test_dark_and_narrow(page, dark, width):
    with open_page(page, webgl=False, dark=dark, width=width, height=812) as opened:
        tab = opened.page
        assert opened.complaints == []
        assert tab.evaluate("document.documentElement.scrollWidth") == width
        paper, ink = (tab.evaluate(f"getComputedStyle(document.body).{key}") for key in ("backgroundColor", "color"))
        brightness = [np.mean([int(n) for n in re.findall(r"\d+", colour)[:3]]) for colour in (paper, ink)]
        assert (brightness[0] < brightness[1]) == dark


def test_page_without_a_plan_has_what_can_be_said(made, tmp_path):
    made()
    path = tmp_path / "audit.html"
    assert not main(["audit", "-d", "500", "-np", "1", "-o", str(path)])
    data = json.loads(re.search(r'id="data">(.*?)</script>', path.read_text(), re.DOTALL)[1])
    assert set(data["labels"][0]["charts"]) == {"shares"}
    with open_page(path, webgl=False) as opened:
        assert opened.complaints == []
        assert opened.page.locator("h1").inner_text() == "Nothing found."
        assert opened.page.locator("thead th").all_inner_texts() == ["size", "lesions", "cases", "voxels"]


def test_nothing_is_left_where_writing_fails(made, tmp_path, capsys):
    made()
    (tmp_path / "file").touch()
    assert main(["audit", "-d", "500", "-np", "1", "-o", str(tmp_path / "file" / "audit.html")]) == 2
    assert "can't be written" in capsys.readouterr().err
