"""The page: its panels, its sliders and their ranges, its presets."""

from pathlib import Path

from nnunetv2_sizepenalty.figures.explorer.axes import UNIT
from nnunetv2_sizepenalty.figures.explorer.curves import error_chart, gradient_chart, loss_chart, weight_chart
from nnunetv2_sizepenalty.figures.explorer.picture import picture_chart
from nnunetv2_sizepenalty.figures.explorer.signals import (
    GATE_ML,
    LARGEST_LESION,
    PATCH,
    inputs,
    numbers_chart,
    parameters,
)
from nnunetv2_sizepenalty.figures.explorer.volume_map import map_chart
from nnunetv2_sizepenalty.losses.size_term import CAP, TAU, SizeTerm
from nnunetv2_sizepenalty.pages.export import spec
from nnunetv2_sizepenalty.pages.offline import render
from nnunetv2_sizepenalty.pages.theme import chart_config

CHARTS = {
    "loss": loss_chart,
    "gradient": gradient_chart,
    "map": map_chart,
    "picture": picture_chart,
    "error": error_chart,
    "weight": weight_chart,
}
TEMPLATES = Path(__file__).parent / "templates"


def write_explorer(path: Path, tau: float = TAU, cap: float = CAP) -> None:
    """Writes the page, its sliders of tau (voxels) and cap at these values.

    Raises:
        ValueError: tau or cap is not positive.
    """
    SizeTerm(tau, cap)
    start = inputs(tau, cap)
    data = {
        "inputs": start,
        "sliders": _sliders(tau, cap),
        "presets": _presets(),
        "numbers": spec(numbers_chart(start)),
        "charts": {name: spec(chart().add_params(*parameters(start))) for name, chart in CHARTS.items()},
        "chart_config": chart_config(),
        "unit_token": UNIT,
    }
    page = render("explorer.html.j2", TEMPLATES, title="Size penalty explorer", data=data, presets=data["presets"])
    path.write_text(page, encoding="utf-8")


def _sliders(tau: float, cap: float) -> dict[str, dict[str, float | str]]:
    """Range of each slider: logarithmic; "zero" is 0 at its lower end; with `volume` it is shown in the chosen unit."""
    return {
        "v_g": {"scale": "log", "low": 1, "high": LARGEST_LESION, "volume": True},
        "v_p": {"scale": "zero", "low": 0, "high": PATCH, "volume": True},
        "tau": {"scale": "log", "low": min(10, tau), "high": max(10_000, tau), "volume": True},
        "cap": {"scale": "log", "low": min(0.2, cap), "high": max(50, cap), "volume": False},
        "lambda_s": {"scale": "linear", "low": 0, "high": 1, "volume": False},
        "gate_voxels": {"scale": "log", "low": 10, "high": LARGEST_LESION, "volume": True},
    }


def _presets() -> list[dict]:
    """Buttons: what each sets, in voxels, or with the ending `_ml` in mL."""
    thesis = inputs(TAU, CAP)
    kept = ("unit", "voxel_ml", "gate_voxels")
    return [
        {"name": "Thesis's default", "set": {name: value for name, value in thesis.items() if name not in kept}},
        {
            "name": "At initialisation",
            "note": "p is 0.5 everywhere in a patch of 32 x 128 x 128",
            "set": {"v_p": PATCH / 2},
        },
        {"name": "Collapsed", "note": "nothing predicted", "set": {"v_p": 0}},
        {
            "name": f"{GATE_ML:g} mL",
            "note": "the thesis's border of small lesions, half as much again predicted",
            "set": {"v_g_ml": GATE_ML, "v_p_ml": 1.5 * GATE_ML},
        },
    ]
