"""report.html in a real headless Chromium: sorting, filtering, slices, jumps, and what stands in without WebGL2."""

import io
import re

import numpy as np
import pytest
from browsers import open_page
from PIL import Image

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def tab(study):
    with open_page(study.path) as opened:
        yield opened


@pytest.fixture
def page(tab):
    return tab.page


def column(page, table, index):
    return page.locator(f"[data-table={table}] tbody tr td:nth-child({index})").all_inner_texts()


def choose(page, table, choice):
    page.locator(f"[data-table={table}] select").first.select_option(choice)


def embedded(page) -> list[str]:
    return page.locator("[data-part=case] option").evaluate_all("options => options.map((o) => o.value)")


def test_opens_from_disk_without_complaint_or_network(tab):
    assert tab.complaints == []
    assert [url for url in tab.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert tab.page.locator("#viewer").get_attribute("data-ready") == "volumes"
    assert tab.page.locator(".chart svg.marks").count() == tab.page.locator(".chart").count() > 5


@pytest.mark.parametrize("index", [2, 6], ids=["Dice", "reference volume"])
def test_sorts_both_ways(page, index):
    heading = page.locator(f"[data-table=cases] thead th:nth-child({index})")
    orders = {}
    for _ in range(2):
        heading.locator("button").click()
        values = [float(v.replace("−", "-")) for v in column(page, "cases", index) if v != "–"]
        orders[heading.get_attribute("aria-sort")] = values
    assert set(orders) == {"ascending", "descending"}
    assert orders["ascending"] == sorted(orders["ascending"])
    assert orders["descending"] == orders["ascending"][::-1]
    assert len(set(orders["ascending"])) > 3
    if "–" in (texts := column(page, "cases", index)):
        assert texts[-1] == "–", "what is undefined stands last"


def test_filters_by_word_and_by_choice(page, study):
    search = page.locator("[data-table=cases] input[type=search]")
    search.fill("CASE_1")
    assert set(column(page, "cases", 1)) == {f"case_{i}" for i in range(10, 20)}
    assert page.locator("[data-table=cases] .count").inner_text() == "10 of 24"
    search.fill("")
    choose(page, "cases", "With a missed lesion")
    missed = study.evaluation.cases.query("missed > 0")["case"]
    assert set(column(page, "cases", 1)) == set(missed)
    choose(page, "cases", "All cases")


def test_lesion_table_starts_with_the_missed_ones(page, study):
    choose(page, "lesions", "Missed lesions")
    volumes = [float(v) for v in column(page, "lesions", 3)]
    assert len(volumes) == study.evaluation.cases["missed"].sum()
    assert volumes == sorted(volumes, reverse=True)


def test_slider_moves_the_slice(page):
    slider = page.locator("[data-part=slice]")
    slider.evaluate("s => { s.value = 1; s.dispatchEvent(new Event('input', {bubbles: true})); }")
    assert page.locator("#viewer").get_attribute("data-voxel").split(",")[2] == "1"
    # Ten slices in the file, of which the crop may hold fewer: the file's own number is shown.
    z = page.locator("#viewer").get_attribute("data-file-voxel").split(",")[2]
    assert page.locator("[data-part=where]").inner_text() == f"z {z} of 0 to 9"
    before = page.locator("[data-part=stage]").screenshot()
    slider.press("ArrowRight")
    assert page.locator("#viewer").get_attribute("data-voxel").split(",")[2] == "2"
    assert page.locator("[data-part=stage]").screenshot() != before


def rows_of(page) -> list[dict]:
    return page.evaluate("JSON.parse(document.getElementById('data').textContent).labels[0].datasets.lesions")


def test_row_of_another_case_moves_case_and_cross_hair(page):
    here = page.locator("#viewer").get_attribute("data-case")
    # A found lesion of a case that also misses one: the viewer would start at the missed one by itself.
    missing = {r["case"] for r in rows_of(page) if r["fate"] == "missed"} - {here}
    row = next(r for r in rows_of(page) if r["at"] and r["case"] in missing and r["fate"] == "found")
    choose(page, "lesions", "Found lesions")
    page.locator("[data-table=lesions] input[type=search]").fill(row["case"])
    page.locator("[data-table=lesions] tbody tr td button").first.click()
    page.wait_for_selector(f"#viewer[data-case='{row['case']}']")
    assert page.locator("#viewer").get_attribute("data-voxel") == ",".join(map(str, row["at"]))
    assert page.locator("[data-part=lesions] button.selected").count() == 1
    assert page.locator("[data-table=lesions] tbody tr.selected").count() == 1
    page.locator("[data-table=lesions] input[type=search]").fill("")


def test_dot_moves_the_viewer_and_is_ringed(page):
    rows = [r for r in rows_of(page) if r["fate"] == "found"]
    targets = page.locator(".chart[data-chart=detection] path[aria-roledescription=circle]")
    wanted = None
    for i in range(targets.count()):
        text = targets.nth(i).get_attribute("aria-label") or ""
        case = re.search(r"case: (\S+);", text)
        if case and case[1] in embedded(page) and "found" in text:
            wanted = (i, case[1])
    assert wanted, "no dot of an embedded case"
    targets.nth(wanted[0]).click(force=True)
    page.wait_for_selector(f"#viewer[data-case='{wanted[1]}']")
    voxel = page.locator("#viewer").get_attribute("data-voxel")
    assert voxel in {",".join(map(str, r["at"])) for r in rows if r["case"] == wanted[1]}
    ring = page.evaluate(
        """() => [...document.querySelectorAll('.chart[data-chart=detection] path[aria-roledescription=point]')]
            .filter((p) => Number(p.getAttribute('stroke-width')) === 2.5).length"""
    )
    assert ring == 1


def test_case_that_is_not_embedded_is_said(page):
    shown = embedded(page)
    row = next(r for r in rows_of(page) if r["case"] not in shown and r["fate"] == "missed")
    choose(page, "lesions", "Missed lesions")
    page.locator("[data-table=lesions] input[type=search]").fill(row["case"])
    page.locator("[data-table=lesions] tbody tr td button").first.click()
    message = page.locator("[data-part=message]").inner_text()
    assert f"--cases {row['case']}" in message
    assert f"z {round(row['z'])}, y {round(row['y'])}, x {round(row['x'])}" in message
    page.locator("[data-table=lesions] input[type=search]").fill("")


def test_masks_can_be_hidden(page):
    page.locator("[data-part=case]").select_option("case_05")
    page.wait_for_selector("#viewer[data-case=case_05]")
    stage = page.locator("[data-part=stage]")
    both = stage.screenshot()
    page.locator("[data-part=reference]").uncheck()
    without = stage.screenshot()
    assert without != both
    page.locator("[data-part=reference]").check()
    assert stage.screenshot() == both


def test_zoom_magnifies_around_the_cross_hair(page):
    stage, viewer = page.locator("[data-part=stage]"), page.locator("#viewer")
    whole, voxel = stage.screenshot(), viewer.get_attribute("data-voxel")
    page.locator("[data-part=zoom]").evaluate("s => { s.value = 4; s.dispatchEvent(new Event('input')); }")
    assert stage.screenshot() != whole
    assert viewer.get_attribute("data-voxel") == voxel
    page.locator("[data-part=zoom]").evaluate("s => { s.value = 1; s.dispatchEvent(new Event('input')); }")
    assert stage.screenshot() == whole


def set_range(page, part, value):
    page.locator(f"[data-part={part}]").evaluate(
        "(s, value) => { s.value = value; s.dispatchEvent(new Event('input', {bubbles: true})); }", value
    )


def test_any_channel_can_be_shown_dwi_first(page):
    stage, channel = page.locator("[data-part=stage]"), page.locator("[data-part=channel]")
    assert channel.locator("option").all_inner_texts() == ["DWI", "ADC"]
    assert channel.input_value() == "DWI"
    dwi, voxel = stage.screenshot(), page.locator("#viewer").get_attribute("data-voxel")
    channel.select_option("ADC")
    page.wait_for_function("document.querySelector('[data-part=channel]').value === 'ADC'")
    page.wait_for_timeout(300)
    assert stage.screenshot() != dwi
    assert page.locator("#viewer").get_attribute("data-voxel") == voxel
    channel.select_option("DWI")
    page.wait_for_timeout(300)
    assert stage.screenshot() == dwi


def test_window_and_level_are_in_the_images_own_values(page):
    stage, shown = page.locator("[data-part=stage]"), page.locator("[data-part=range]")
    first, text = stage.screenshot(), shown.inner_text()
    scan = page.evaluate("JSON.parse(document.getElementById('data').textContent).scans.case_05.channels[0]")
    set_range(page, "window", 255)
    set_range(page, "level", 127)
    low, high = (float(end.replace("−", "-")) for end in shown.inner_text().split(" to "))
    assert abs(low - scan["low"]) < 0.01 * (scan["high"] - scan["low"])
    assert abs(high - scan["high"]) < 0.01 * (scan["high"] - scan["low"])
    set_range(page, "window", 40)
    assert stage.screenshot() != first
    page.locator("[data-part=reset]").click()
    assert (stage.screenshot(), shown.inner_text()) == (first, text)


def test_three_planes(page):
    stage = page.locator("[data-part=stage]")
    one = stage.screenshot()
    page.locator("[data-planes=three]").click()
    assert page.locator("[data-planes=three]").get_attribute("aria-pressed") == "true"
    assert stage.screenshot() != one
    page.locator("[data-planes=one]").click()


def pick_smallest(page, case) -> dict:
    """Clicks a case's smallest lesion in the table of lesions."""
    rows = [r for r in rows_of(page) if r["at"] and r["case"] == case and r["kind"] == "reference"]
    row = min(rows, key=lambda r: r["volume_ml"])
    choose(page, "lesions", "All lesions")
    page.locator("[data-table=lesions] input[type=search]").fill(case)
    heading = page.locator("[data-table=lesions] thead th:nth-child(3)")
    while heading.get_attribute("aria-sort") != "ascending":
        heading.locator("button").click()
    page.locator("[data-table=lesions] tbody tr td button").first.click()
    page.wait_for_selector(f"#viewer[data-case='{row['case']}']")
    return row


def coloured_width(picture: bytes) -> int:
    """Pixels from the leftmost to the rightmost that a mask's colour covers."""
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)
    columns = np.flatnonzero((np.ptp(pixels, axis=2) > 60).any(axis=0))
    return int(columns[-1] - columns[0] + 1) if len(columns) else 0


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (1024, 768), (390, 844)])
@pytest.mark.parametrize("webgl", [True, False], ids=["webgl", "pictures"])
def test_a_click_shows_a_lesion_of_three_voxels(three_voxels, width, height, webgl):
    with open_page(three_voxels.path, webgl=webgl, width=width, height=height) as opened:
        page = opened.page
        row = pick_smallest(page, "whole_head")
        assert row["volume_ml"] == pytest.approx(3 * 0.008)
        viewer = page.locator("#viewer")
        assert viewer.get_attribute("data-voxel") == ",".join(map(str, row["at"]))
        # The file's own index, not the crop's.
        x, y, z = map(int, viewer.get_attribute("data-file-voxel").split(","))
        assert (z, y) == (20, 70)
        assert x in (60, 61, 62)
        assert page.locator("[data-part=voxel]").inner_text() == f"voxel x {x}, y {y}, z {z}"
        assert float(viewer.get_attribute("data-pixels")) >= 20
        page.wait_for_timeout(300)
        assert 20 <= coloured_width(page.locator("[data-part=stage]").screenshot()) <= 60
        # The page scrolls softly to the picture where it was out of sight.
        page.wait_for_function(
            """() => { const box = document.querySelector('.stage').getBoundingClientRect();
                const middle = (box.top + box.bottom) / 2; return middle > 0 && middle < innerHeight; }"""
        )
        assert opened.complaints == []


def test_the_cross_hair_leaves_the_lesion_free(three_voxels):
    with open_page(three_voxels.path, webgl=False) as opened:
        page = opened.page
        pick_smallest(page, "whole_head")
        zoom = float(page.locator("[data-part=zoom]").input_value())
        gap = page.locator(".pictures").evaluate("f => parseFloat(f.style.getPropertyValue('--gap'))")
        assert 2 * gap * zoom > float(page.locator("#viewer").get_attribute("data-pixels"))


def test_the_crop_keeps_the_heads_outline(three_voxels):
    with open_page(three_voxels.path) as opened:
        scan = opened.page.evaluate("JSON.parse(document.getElementById('data').textContent).scans.whole_head")
        # A head of 100 x 100 x 32 voxels in a volume of 120 x 120 x 40; its small lesion alone would be 23 wide.
        assert all(size >= head for size, head in zip(scan["shape"], (100, 100, 32), strict=True))
        assert all(size < whole for size, whole in zip(scan["shape"], (120, 120, 40), strict=True))


def test_oversized_predictions_are_marked_and_linked(three_voxels):
    with open_page(three_voxels.path) as opened:
        page = opened.page
        mark = page.locator("[data-part=oversized]")
        text = mark.inner_text()
        assert "1 predicted lesion is more than 10 times as large as the lesions touched" in text
        assert "100 % of the lesions are found (3 of 3)" in text
        assert "67 % of the lesions are found (2 of 3)" in text
        page.locator("[data-part=case]").select_option("whole_head")
        link = mark.get_by_role("button")
        assert re.fullmatch(r"painted: [\d,]+ times, touches 1 lesion", link.inner_text())
        link.click()
        page.wait_for_selector("#viewer[data-case=painted]")
        x, y, z = map(int, page.locator("#viewer").get_attribute("data-file-voxel").split(","))
        assert three_voxels.prediction("painted")[z, y, x] == 1


def test_without_webgl_pictures_stand_in(study):
    with open_page(study.path, webgl=False) as opened:
        page = opened.page
        assert opened.complaints == []
        assert page.locator("#viewer").get_attribute("data-ready") == "pictures"
        canvas = page.locator(".pictures canvas.image")
        drawn = "c => c.toDataURL()"
        first = canvas.evaluate(drawn)
        assert len(first) > 1000
        page.locator("[data-part=slice]").evaluate(
            "s => { s.value = 0; s.dispatchEvent(new Event('input', {bubbles: true})); }"
        )
        assert canvas.evaluate(drawn) != first
        row = next(r for r in rows_of(page) if r["at"] and r["fate"] == "missed")
        choose(page, "lesions", "Missed lesions")
        page.locator("[data-table=lesions] input[type=search]").fill(row["case"])
        page.locator("[data-table=lesions] tbody tr td button").first.click()
        page.wait_for_selector(f"#viewer[data-case='{row['case']}']")
        assert page.locator("#viewer").get_attribute("data-voxel") == ",".join(map(str, row["at"]))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_phone_has_no_sideways_scroll(study, dark):
    with open_page(study.path, width=375, height=812, dark=dark) as opened:
        page = opened.page
        assert page.evaluate("document.documentElement.scrollWidth") == 375
        wide = page.evaluate(
            """() => [...document.querySelectorAll('main, section, figure, .chart, .viewer, .bins, .facts')]
                .filter((e) => e.getBoundingClientRect().right > 376).map((e) => e.className || e.tagName)"""
        )
        assert wide == []
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == ("rgb(21, 23, 27)" if dark else "rgb(255, 255, 255)")
        # On a phone the viewer stands below the first answer, not after everything.
        assert page.evaluate(
            """() => document.querySelector('#viewer').getBoundingClientRect().top
                < document.querySelector('[data-table=cases]').getBoundingClientRect().top"""
        )


def test_photographs_are_shown_as_pictures(photographs):
    with open_page(photographs.path) as opened:
        page = opened.page
        assert opened.complaints == []
        assert page.locator("#viewer").get_attribute("data-ready") == "pictures"
        assert page.locator("[data-part=slice-row]").is_hidden()
        row = next(r for r in rows_of(page) if r["fate"] == "missed")
        page.locator("[data-table=lesions] tbody tr td button").first.click()
        assert page.locator("#viewer").get_attribute("data-voxel") == ",".join(map(str, row["at"]))
        # A click on the picture moves the cross-hair to the pixel under it.
        box = page.locator(".pictures").bounding_box()
        page.mouse.click(box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.75)
        shape = page.evaluate("Object.values(JSON.parse(document.getElementById('data').textContent).scans)[0].shape")
        x, y, _ = map(int, page.locator("#viewer").get_attribute("data-voxel").split(","))
        assert abs((shape[0] - x) / shape[0] - 0.25) < 0.05
        assert abs((shape[1] - y) / shape[1] - 0.75) < 0.05


def test_labels_switch_the_whole_page(two_labels):
    with open_page(two_labels.path) as opened:
        page = opened.page
        assert opened.complaints == []
        headings = page.locator("h1")
        assert [headings.nth(i).is_visible() for i in range(2)] == [True, False]
        before = page.locator("[data-part=stage]").screenshot()
        page.locator(".tabs button").nth(1).click()
        page.wait_for_selector("#panel-1 .chart svg.marks")
        assert [headings.nth(i).is_visible() for i in range(2)] == [False, True]
        assert page.locator(".tabs button").nth(1).inner_text() == "<b>edema</b>"
        hostile = page.locator("#panel-1 [data-table=cases] tbody tr td button", has_text="onerror")
        assert hostile.inner_text().startswith("<img src=x")
        hostile.click()
        assert "<img" in page.locator("#viewer").get_attribute("data-case")
        assert page.locator("[data-part=stage]").screenshot() != before
        assert opened.complaints == []


def test_the_viewer_of_photographs_counts_pixels(photographs):
    with open_page(photographs.path) as opened:
        assert opened.complaints == []
        assert "Reference 30 px" in opened.page.locator("[data-part=about]").inner_text()
        assert opened.page.locator("[data-part=lesions] button").all_inner_texts() == ["✕ 6 px", "● 24 px"]
        assert column(opened.page, "lesions", 3) == ["6"] * 4
