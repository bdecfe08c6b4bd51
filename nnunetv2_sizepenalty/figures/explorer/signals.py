"""What moves the page: the inputs, which every chart has, and the numbers at the point where they stand."""

import altair as alt

from nnunetv2_sizepenalty.figures.explorer import formulas
from nnunetv2_sizepenalty.losses.size_term import SMOOTH, WEIGHT, Gate

# voxels of the thesis's patch; a network starts with p = 0.5 in all of them
PATCH = 32 * 128 * 128
LARGEST_LESION = 100_000
# 2 x 2 x 2 mm^3, the thesis's ISLES voxel
VOXEL_ML = 0.008
GATE_ML = 5.0


def inputs(tau: float, cap: float) -> dict[str, float | str]:
    """Every signal that the page's controls set, as the page opens: the thesis's term and a lesion of 100 voxels."""
    gate = Gate(GATE_ML / VOXEL_ML)
    return {
        "v_g": 100.0,
        "v_p": 150.0,
        "tau": tau,
        "cap": cap,
        "lambda_s": WEIGHT,
        "smooth": SMOOTH,
        "log_ratio": 0,
        "soft_cap": 0,
        "gate": "none",
        "gate_voxels": gate.voxels,
        "gate_floor": gate.floor,
        "unit": "voxels",
        "voxel_ml": VOXEL_ML,
    }


def silence(predicted: str, reference: str) -> str:
    """An expression: why S gives no gradient or a fading one, empty where it gives its own; two lines."""
    return (
        f"({formulas.gate(predicted, reference)} == 0 ? 'gate closed:\\nno gradient' : "
        f"{formulas.saturated(predicted, reference)} ? "
        "(soft_cap ? 'beyond the cap:\\nthe gradient fades' : 'cap reached:\\nno gradient') : '')"
    )


# signal -> expression, at the point (v_p, v_g)
NUMBERS: dict[str, str] = {
    "weight": formulas.size_weight("v_g"),
    "error": formulas.error("v_p", "v_g"),
    "gate_factor": formulas.gate("v_p", "v_g"),
    "uncapped": formulas.uncapped("v_p", "v_g"),
    "penalty": formulas.penalty("v_p", "v_g"),
    "added": f"lambda_s * {formulas.penalty('v_p', 'v_g')}",
    "slope": formulas.slope("v_p", "v_g"),
    "added_slope": f"lambda_s * {formulas.slope('v_p', 'v_g')}",
    "kept": formulas.kept("v_p", "v_g"),
    "silence": silence("v_p", "v_g"),
    "nothing": formulas.penalty("0", "v_g"),
    "whole_patch": formulas.penalty(str(PATCH), "v_g"),
    "largest_error": formulas.error(str(PATCH), "v_g"),
    "cap_error": f"cap / {formulas.size_weight('v_g')}",
    "dice_right": formulas.dice("v_p", "v_g", "min(v_p, v_g)"),
    "dice_wrong": formulas.dice("v_p", "v_g", "0"),
}


def numbers_chart(start: dict[str, float | str]) -> alt.Chart:
    """A chart of nothing that holds the inputs and, as signals, the numbers."""
    numbers = [alt.param(name=name, expr=expression) for name, expression in NUMBERS.items()]
    return alt.Chart(alt.Data(values=[])).mark_point().add_params(*parameters(start), *numbers)


def parameters(start: dict[str, float | str]) -> list[alt.Parameter]:
    """The inputs as parameters of a chart."""
    return [alt.param(name=name, value=value) for name, value in start.items()]
