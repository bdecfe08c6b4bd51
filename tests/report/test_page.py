"""What stands in report.html, and that nothing in it comes from or goes to a network."""

import json
import re

import pytest
from PIL import Image

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.report import write_report
from nnunetv2_sizepenalty.report.niivue import niivue_bundle


def page_data(page: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


def without_scripts(page: str) -> str:
    return re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)


def test_nilearn_ships_niivue():
    bundle = niivue_bundle()
    assert len(bundle) > 1_000_000
    assert ".niivue={}" in bundle[:600], "the bundle no longer defines a global `niivue`"


def test_no_address_is_loaded(study):
    text = without_scripts(study.page)
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?!data:)[^"'\s>]+""", text)
    assert not re.findall(r"url\((?!data:)", study.page.split("</style>")[0])
    assert "import(" not in study.page.split('id="data"')[1]


def test_strings_are_escaped(study, two_labels):
    assert "<script>alert(1)" not in study.page
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in study.page
    assert "<b>edema" not in two_labels.page
    assert "&lt;b&gt;edema" in two_labels.page
    assert "core &amp; rim" in two_labels.page


def test_first_screen_answers_in_words(study):
    lesions = study.evaluation.lesions
    missed = lesions[(lesions["kind"] == "reference") & ~lesions["detected"].astype(bool)]
    n = (lesions["kind"] == "reference").sum()
    heading = re.search(r"<h1>(.*?)</h1>", study.page)[1]
    assert heading == f"{len(missed)} of {n} lesions missed."
    assert "Half of them are smaller than" in study.page.split("<h1>")[1][:400]


def test_every_table_names_protocol_and_connectivity(study):
    captions = re.findall(r"<caption>(.*?)</caption>|data-caption=\"(.*?)\"", study.page, re.DOTALL)
    assert len(captions) >= 5
    for caption in captions:
        assert re.search(r"Protocol default: .*18.*-connectivity", "".join(caption), re.DOTALL), caption


def test_empty_stratum_is_a_dash(study):
    rows = dict(re.findall(r"<tr>\s*<th scope=row>([^<]+)</th>(.*?)</tr>", study.page, re.DOTALL))
    large = re.findall(r"<td[^>]*>([^<]*)", rows["≥ 5 mL"])
    assert large[0] == "0"
    assert set(large[1:]) == {"–"}


def test_viewer_holds_the_named_case_and_the_extremes(study):
    scans = page_data(study.page)["scans"]
    assert scans["case_05"]["why"] == "named"
    assert {scan["why"] for scan in scans.values()} >= {"lowest Dice", "median Dice", "highest Dice"}
    assert len(scans) <= 13


def test_lesions_of_embedded_cases_know_their_voxel(study):
    data = page_data(study.page)
    for row in data["labels"][0]["datasets"]["lesions"]:
        assert (row["at"] is not None) == (row["case"] in data["scans"])


def test_masks_alone_are_said(study, two_labels):
    assert "masks alone are drawn" in two_labels.page
    assert "masks alone are drawn" not in study.page


def test_each_label_has_a_panel(two_labels):
    assert two_labels.page.count('class="label-panel"') == 2
    assert [label["name"] for label in page_data(two_labels.page)["labels"]] == ["core & rim", "<b>edema</b>"]


def test_a_dozen_cases_cost_little(study):
    scans = page_data(study.page)["scans"]
    assert len(json.dumps(scans)) < 3_000_000


@pytest.mark.parametrize("name", ["detection", "volumes", "bland_altman", "false_positives", "box_dice"])
def test_figures_are_written(study, name):
    with Image.open(study.path.parent / "figures" / f"{name}.png") as picture:
        assert picture.width > 900
        assert len(picture.convert("RGB").getcolors(100_000)) > 3
    assert (study.path.parent / "figures" / f"{name}.svg").read_text().startswith("<svg")


def test_unknown_case_is_refused(study, tmp_path):
    with pytest.raises(UserError, match="case_99 not among"):
        write_report(
            tmp_path / "out",
            study.evaluation,
            reference_folder=study.references,
            prediction_folder=study.predictions,
            cases=["case_99"],
        )
    assert not (tmp_path / "out").exists()


def test_image_of_another_shape_is_refused(study, tmp_path):
    with pytest.raises(UserError, match="no image of"):
        write_report(
            tmp_path / "out",
            study.evaluation,
            reference_folder=study.references,
            prediction_folder=study.predictions,
            images_folder=study.references.parent,
        )
    assert not (tmp_path / "out").exists()


def test_photographs_need_no_volume_viewer(photographs):
    scans = page_data(photographs.page)["scans"]
    assert all(scan["flat"] and len(scan["channels"]) == 1 for scan in scans.values())
    assert all(scan["channels"][0]["data"].startswith("data:image/jpeg") for scan in scans.values())
    assert "niivue={}" not in photographs.page


def test_sizes_of_photographs_are_pixels(photographs):
    data = json.dumps(page_data(photographs.page))
    text = without_scripts(photographs.page)
    assert not re.search(r"\bmL\b|[a-z]_ml\b", text + data)
    assert not re.search(r"\bmm\b|mm\^3", text + re.sub(r'"(wide|spacing)_mm"', "", data))
    assert "HD95 (px)" in text
    assert "NSD within 1 px" in text
    assert "4 of 8 lesions missed." in text
    assert "Each has 6 px." in text
    assert "&lt; 10 px" in text
    for words in (
        "lesion area (px)",
        "reference area (px)",
        "predicted area (px)",
        "prediction \\u2212 reference (px)",
    ):
        assert words in data
    assert {row["volume_px"] for row in page_data(photographs.page)["labels"][0]["datasets"]["lesions"]} == {6, 24}
