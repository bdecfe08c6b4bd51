"""The page with sliders: its numbers are those of the losses, whatever the sliders say."""

import json
import math
import re
from itertools import product

import pytest
import torch
from browsers import open_page

from nnunetv2_sizepenalty.cli.main import main
from nnunetv2_sizepenalty.figures.explorer import write_explorer
from nnunetv2_sizepenalty.figures.explorer.signals import LARGEST_LESION, PATCH
from nnunetv2_sizepenalty.losses import Gate, SizeTerm, formulas
from nnunetv2_sizepenalty.losses.size_penalty import gate_factor, is_saturated, size_penalty, uncapped_penalty

GATES = {
    "none": lambda voxels: None,
    "reference": Gate,
    "predicted": lambda voxels: Gate(voxels, by="predicted"),
    "hard": lambda voxels: Gate(voxels, hard=True),
}
VARIANTS = [
    {"soft_cap": soft_cap, "log_ratio": log_ratio, "gate": gate}
    for soft_cap, log_ratio, gate in product((0, 1), (0, 1), GATES)
]


def name_of(variant: dict) -> str:
    return "-".join(
        ("soft" if variant["soft_cap"] else "hard", "log" if variant["log_ratio"] else "relative", variant["gate"])
    )


def term_of(state: dict) -> SizeTerm:
    return SizeTerm(
        state["tau"],
        state["cap"],
        log_ratio=bool(state["log_ratio"]),
        soft_cap=bool(state["soft_cap"]),
        gate=GATES[state["gate"]](state["gate_voxels"]),
    )


def doubles(*values: float) -> list[torch.Tensor]:
    return [torch.tensor(value, dtype=torch.float64) for value in values]


def slope_of(term: SizeTerm, predicted: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    predicted = predicted.clone().requires_grad_()
    return torch.autograd.grad(size_penalty(term, predicted, reference).sum(), predicted)[0]


def expected(state: dict) -> dict[str, float]:
    """The page's numbers by the losses' own code, in float64."""
    term = term_of(state)
    predicted, reference, none = doubles(state["v_p"], state["v_g"], 0.0)
    if state["log_ratio"]:
        error = formulas.log_volume_ratio(predicted, reference)
    else:
        error = formulas.relative_volume_error(predicted, reference)
    penalty, slope = size_penalty(term, predicted, reference), slope_of(term, predicted, reference)
    return {
        "weight": formulas.size_weight(reference, state["tau"]).item(),
        "error": error.item(),
        "gate_factor": 1.0 if term.gate is None else gate_factor(term.gate, predicted, reference).item(),
        "uncapped": uncapped_penalty(term, predicted, reference).item(),
        "penalty": penalty.item(),
        "added": state["lambda_s"] * penalty.item(),
        "slope": slope.item(),
        "added_slope": state["lambda_s"] * slope.item(),
        "dice_right": formulas.dice(predicted, reference, torch.minimum(predicted, reference)).item(),
        "dice_wrong": formulas.dice(predicted, reference, none).item(),
    }


def silence(state: dict, numbers: dict[str, float]) -> str:
    if numbers["gate_factor"] == 0:
        return "gate closed"
    if not is_saturated(term_of(state), *doubles(state["v_p"], state["v_g"])):
        return ""
    return "beyond the cap" if state["soft_cap"] else "cap reached"


def shown(number: float) -> str:
    """Three digits as the page writes them."""
    if number == 0:
        return "0"
    if not 1e-4 <= abs(number) < 1e6:
        mantissa, exponent = f"{number:.2e}".split("e")
        return f"{mantissa}e{int(exponent):+d}".replace("-", "−")
    return f"{number:.{max(0, 2 - math.floor(math.log10(abs(number))))}f}".replace("-", "−")


# Works the page's own controls: a number goes into a field, {"at": n} moves a slider, a string presses a button.
MOVE = """(changes) => {
    const say = (id, value) => {
        const element = document.getElementById(id);
        element.value = value;
        element.dispatchEvent(new Event("input", {bubbles: true}));
    };
    for (const [name, value] of Object.entries(changes)) {
        const choice = document.querySelector(`[data-choice="${name}"]`);
        if (choice) choice.querySelector(`button[value="${value}"]`).click();
        else if (value.at !== undefined) say(name, value.at);
        else say(name === "voxel_ml" ? name : `${name}-number`, value);
    }
}"""
READ = """() => {
    const each = (selector, entry) => Object.fromEntries([...document.querySelectorAll(selector)].map(entry));
    return {
        numbers: each("[data-number]", (e) => [e.dataset.number, [Number(e.dataset.value), e.textContent]]),
        fields: each("[data-slider]", (e) => [e.dataset.slider, e.querySelector("[type=number]").valueAsNumber]),
        silence: document.querySelector("[data-brief=silence]").textContent,
    };
}"""
MOVE_ALL = f"(states) => states.map((state) => {{ ({MOVE})(state); return ({READ})(); }})"
# The rows that a chart draws, once it has caught up with the controls.
ROWS = """async ([chart, column]) => {
    const frame = () => new Promise(requestAnimationFrame);
    await frame(); await frame();
    const {view} = document.querySelector(`.chart[data-chart=${chart}]`);
    await view.runAsync();
    const names = Object.keys(view.getState({data: () => true, signals: () => false}).data);
    return names.map((name) => view.data(name)).filter((rows) => rows.length && column in rows[0])
        .reduce((a, b) => (b.length > a.length ? b : a), []);
}"""


def check(state: dict, read: dict) -> None:
    wanted = expected(state)
    for name, value in wanted.items():
        number, text = read["numbers"][name]
        assert number == pytest.approx(value, rel=1e-9, abs=1e-15), (
            name,
            state,
        )
        assert text.lstrip("+") == shown(number), (name, state)
    assert read["silence"] == silence(state, wanted), state


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("explorer") / "loss.html"
    assert main(["plot-loss", "--interactive", "-o", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def tab(file):
    with open_page(file, webgl=False) as opened:
        yield opened


@pytest.fixture
def page(tab):
    tab.page.locator("[data-choice=unit] button[value=voxels]").click()
    tab.page.locator("[data-preset='0']").click()
    return tab.page


def around_the_cap(variant: dict, tau: float, cap: float, v_g: float) -> list[float]:
    """Predicted volumes just inside and just beyond the cap, where the axis reaches it."""
    if v_g > 50 * tau:
        return []
    at_cap = cap * math.exp(v_g / tau)
    relative, log_ratio = v_g + at_cap * (v_g + formulas.SMOOTH), (v_g + 1) * math.exp(min(at_cap, 50)) - 1
    v_p = log_ratio if variant["log_ratio"] else relative
    return [v_p * (1 + step) for step in (-1e-6, 1e-6)] if v_p < 0.99 * PATCH else []


@pytest.mark.integration
@pytest.mark.parametrize("variant", VARIANTS, ids=name_of)
def test_numbers_are_those_of_the_losses(page, variant):
    states = []
    for (tau, cap, lambda_s), v_g in product(
        ((600.0, 10.0, 0.3), (600.0, 0.5, 1.0), (37.5, 3.0, 0.1)), (1.0, 12.5, 625.0, 20_000.0, float(LARGEST_LESION))
    ):
        volumes = [0.0, v_g / 2, v_g, 1.001 * v_g, PATCH / 2, *around_the_cap(variant, tau, cap, v_g)]
        states += [
            {**variant, "tau": tau, "cap": cap, "lambda_s": lambda_s, "v_g": v_g, "v_p": v_p, "gate_voxels": 625.0}
            for v_p in volumes
        ]
    reads = page.evaluate(MOVE_ALL, states)
    for state, read in zip(states, reads, strict=True):
        check(state, read)
    kinds = {read["silence"] for read in reads}
    assert kinds >= {"", "beyond the cap" if variant["soft_cap"] else "cap reached"}
    assert ("gate closed" in kinds) == (variant["gate"] == "hard")


@pytest.mark.integration
def test_sliders_move_the_numbers(page):
    moves = [
        {"v_g": {"at": v_g}, "v_p": {"at": v_p}, "tau": {"at": tau}, "cap": {"at": cap}, "lambda_s": {"at": 1000 - v_g}}
        for v_g, v_p, tau, cap in product((0, 330, 1000), (0, 410, 1000), (0, 500, 1000), (0, 700))
    ]
    reads = page.evaluate(MOVE_ALL, moves)
    for read in reads:
        check({"soft_cap": 0, "log_ratio": 0, "gate": "none", **read["fields"]}, read)
    for name in ("v_g", "v_p", "tau"):
        assert len({read["fields"][name] for read in reads}) == 3
    assert {min(read["fields"]["v_g"] for read in reads), max(read["fields"]["v_g"] for read in reads)} == {1, 100_000}


@pytest.mark.integration
def test_a_slider_stays_where_it_is_put(page):
    positions = list(range(0, 1001, 7))
    for name in ("v_g", "v_p", "tau", "cap", "lambda_s"):
        moved = f"(at) => {{ ({MOVE})({{{name}: {{at}}}}); return document.getElementById('{name}').valueAsNumber; }}"
        assert page.evaluate(f"(all) => all.map({moved})", positions) == positions


@pytest.mark.integration
def test_both_sliders_meet_in_one_volume(page):
    page.evaluate(MOVE, {"v_g": 123.4})
    at = page.evaluate("document.getElementById('v_g').value")
    read = page.evaluate(MOVE_ALL, [{"v_p": {"at": 0}}, {"v_p": {"at": 1000}}])
    assert [r["fields"]["v_p"] for r in read] == [0, PATCH]
    zero = page.evaluate("(v) => Math.round(1000 * Math.log1p(v) / Math.log1p(524288))", 123.4)
    read = page.evaluate(MOVE_ALL, [{"v_p": {"at": zero}}])[0]
    assert read["fields"]["v_p"] == 123.4
    assert page.locator("#headline").inner_text() == "The volume is right: S is 0."
    assert page.evaluate("document.getElementById('v_g').value") == at


@pytest.mark.integration
@pytest.mark.parametrize(
    "variant",
    [VARIANTS[0], VARIANTS[-1], {"soft_cap": 1, "log_ratio": 0, "gate": "predicted"}],
    ids=name_of,
)
def test_curves_and_map_are_the_losses(page, variant):
    state = {**variant, "tau": 300.0, "cap": 4.0, "v_g": 80.0, "v_p": 100.0, "gate_voxels": 200.0}
    page.evaluate(MOVE, state)
    term = term_of(state)
    for chart, column in (("loss", "penalty"), ("gradient", "slope")):
        rows = page.evaluate(ROWS, [chart, column])
        assert len(rows) == 401
        predicted = torch.tensor([row["p"] for row in rows], dtype=torch.float64)
        reference = torch.full_like(predicted, state["v_g"])
        wanted = (
            size_penalty(term, predicted, reference) if column == "penalty" else slope_of(term, predicted, reference)
        )
        torch.testing.assert_close(torch.tensor([row[column] for row in rows], dtype=torch.float64), wanted)
        dead = wanted == term.cap if column == "penalty" else (wanted == 0) & (predicted != reference)
        if not state["soft_cap"]:
            assert dead.tolist() == [row["silence"] != "" for row in rows]
    rows = page.evaluate(ROWS, ["map", "penalty"])
    predicted, reference, penalty = (
        torch.tensor([row[name] for row in rows], dtype=torch.float64) for name in ("predicted", "reference", "penalty")
    )
    torch.testing.assert_close(penalty, size_penalty(term, predicted, reference))
    closed = torch.zeros_like(penalty) if term.gate is None else gate_factor(term.gate, predicted, reference) == 0
    silent = (is_saturated(term, predicted, reference) | closed.bool()) & (not state["soft_cap"])
    assert silent.tolist() == [row["silent"] for row in rows]


@pytest.mark.integration
def test_presets_say_what_they_show(page):
    headline = page.locator("#headline")
    page.get_by_role("button", name="At initialisation").click()
    assert headline.inner_text() == "The cap is reached here: no gradient."
    assert page.evaluate(READ)["fields"]["v_p"] == PATCH / 2
    page.get_by_role("button", name="Collapsed").click()
    assert headline.inner_text() == "Nothing is predicted: S costs 0.846."
    page.evaluate(MOVE, {"voxel_ml": 0.01, "unit": "mL", "v_g": 5, "gate": "hard", "gate_voxels": 1})
    page.get_by_role("button", name="5 mL").click()
    assert page.evaluate(READ)["fields"] == {
        "v_g": 5,
        "v_p": 7.5,
        "tau": 6,
        "cap": 10,
        "lambda_s": 0.3,
        "gate_voxels": 1,
    }
    assert headline.inner_text() == "The gate is closed here: S is off."
    assert page.locator("#lead").inner_text() == "The lesion of 5 mL is larger than the gate's 1 mL."
    page.wait_for_function("document.querySelector('[data-chart=loss]').textContent.includes('predicted volume (mL)')")
    page.get_by_role("button", name="Thesis's default").click()
    page.evaluate(MOVE, {"voxel_ml": 0.008, "unit": "voxels"})
    fields = {"v_g": 100, "v_p": 150, "tau": 600, "cap": 10, "lambda_s": 0.3, "gate_voxels": 100}
    assert page.evaluate(READ)["fields"] == fields


@pytest.mark.integration
@pytest.mark.parametrize(("chart", "moved"), [("map", {"v_g", "v_p"}), ("loss", {"v_p"}), ("weight", {"v_g"})])
def test_pressing_in_a_chart_moves_the_sliders(page, chart, moved):
    before = page.evaluate(READ)["fields"]
    drawing = page.locator(f"[data-chart={chart}] >> css=svg, canvas")
    box = drawing.bounding_box()
    drawing.click(position={"x": 0.7 * box["width"], "y": 0.2 * box["height"]})
    after = page.evaluate(READ)["fields"]
    assert {name for name in before if before[name] != after[name]} == moved
    assert all(after[name] > 1000 for name in moved)


@pytest.mark.integration
def test_opens_without_network_or_complaint_and_follows_the_theme(tab, page):
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"{paper} !== '{light}'")
    page.wait_for_function("document.querySelector('[data-chart=loss] svg').innerHTML.includes('#5fb2ee')")
    page.emulate_media(color_scheme="light")
    assert page.locator(".chart svg, .chart canvas").count() == 6
    assert tab.complaints == []
    assert [url for url in tab.requests if not url.startswith(("file:", "data:", "blob:"))] == []


@pytest.mark.integration
def test_fits_a_phone(file):
    with open_page(file, webgl=False, width=390, height=844, dark=True) as tab:
        assert tab.page.evaluate("document.documentElement.scrollWidth") == 390
        tab.page.locator("#settings summary").click()
        assert tab.page.locator("[data-choice=gate]").is_visible()
        tab.page.mouse.wheel(0, 2000)
        tab.page.wait_for_function("scrollY > 1000")
        assert tab.page.locator("#v_p").bounding_box()["y"] < 100, "the two sliders stay in sight"
        assert tab.complaints == []


def test_page_opens_at_the_values_given(tmp_path):
    write_explorer(tmp_path / "page.html", tau=20_000, cap=0.1)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert (data["inputs"]["tau"], data["inputs"]["cap"]) == (20_000, 0.1)
    assert data["sliders"]["tau"]["high"] == 20_000
    assert data["sliders"]["cap"]["low"] == 0.1
    # the preset stays the thesis's
    assert (data["presets"][0]["set"]["tau"], data["presets"][0]["set"]["cap"]) == (600, 10)
