"""The size penalty's formulas once more, as Vega expressions: a page can't run PyTorch.

Each function has the name of its counterpart in `losses.formulas` or `losses.size_penalty`, takes names of volumes and
returns an expression. Vega has no sign and no expm1. A browser test holds all of them against their counterparts.

The expressions read these signals: tau, cap, smooth, log_ratio, soft_cap (0 or 1), gate ("none", "reference",
"predicted", "hard"), gate_voxels, gate_floor.
"""


def dice(predicted: str, reference: str, overlap: str) -> str:
    """`formulas.dice`."""
    return f"(1 - (2 * {overlap} + smooth) / ({predicted} + {reference} + smooth))"


def size_weight(reference: str) -> str:
    """`formulas.size_weight`."""
    return f"exp(-{reference} / tau)"


def relative_volume_error(predicted: str, reference: str) -> str:
    """`formulas.relative_volume_error`."""
    return f"(abs({predicted} - {reference}) / ({reference} + smooth))"


def log_volume_ratio(predicted: str, reference: str) -> str:
    """`formulas.log_volume_ratio` in full resolution, where a voxel is 1."""
    return f"abs(log(({predicted} + 1) / ({reference} + 1)))"


def error(predicted: str, reference: str) -> str:
    """The one of the two that `SizeTerm.log_ratio` takes."""
    return f"(log_ratio ? {log_volume_ratio(predicted, reference)} : {relative_volume_error(predicted, reference)})"


def uncapped(predicted: str, reference: str) -> str:
    """`size_penalty.uncapped_penalty`."""
    return f"({size_weight(reference)} * {error(predicted, reference)})"


def saturated(predicted: str, reference: str) -> str:
    """`size_penalty.is_saturated`."""
    return f"({uncapped(predicted, reference)} >= cap)"


def capped(penalty: str) -> str:
    """`formulas.hard_cap` or `formulas.soft_cap`."""
    return f"(soft_cap ? cap * (1 - exp(-{penalty} / cap)) : min(cap, {penalty}))"


def gate(predicted: str, reference: str) -> str:
    """`size_penalty.gate_factor`, 1 without one: a smooth gate by either volume, a hard one by the reference."""
    volume = f"(gate == 'predicted' ? {predicted} : {reference})"
    above = f"max(0, {volume} / gate_voxels - 1)"
    smooth = f"(gate_floor + (1 - gate_floor) * exp(-pow({above}, 2)))"
    return f"(gate == 'none' ? 1 : gate == 'hard' ? ({reference} <= gate_voxels ? 1 : 0) : {smooth})"


def penalty(predicted: str, reference: str) -> str:
    """`size_penalty.size_penalty`: S of one pair."""
    return f"({gate(predicted, reference)} * {capped(uncapped(predicted, reference))})"


def kept(predicted: str, reference: str) -> str:
    """What the cap leaves of the gradient: the derivative of `formulas.hard_cap` or `formulas.soft_cap`."""
    return f"(soft_cap ? exp(-{uncapped(predicted, reference)} / cap) : 1 - {saturated(predicted, reference)})"


def slope(predicted: str, reference: str) -> str:
    """dS/dV_p as autograd finds it: 0 at V_p = V_g, and the gate is a constant, since it sees a detached V_p."""
    sign = f"(({predicted} > {reference}) - ({predicted} < {reference}))"
    of_error = f"({sign} / (log_ratio ? {predicted} + 1 : {reference} + smooth))"
    factors = (gate(predicted, reference), kept(predicted, reference), size_weight(reference), of_error)
    return f"({' * '.join(factors)})"
