"""What a trainer tells of its S: in its settings, which checkpoints keep, and in debug.json."""

import sys
from dataclasses import fields
from typing import Any

from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager

from nnunetv2_sizepenalty.losses.parameters import DEFAULT, Parameters
from nnunetv2_sizepenalty.losses.size_term import AUTO, Gate, Millilitres, SizeTerm
from nnunetv2_sizepenalty.nnunet_io.spacing import planned_voxels

_GATES = ("gate_ml", "predicted_gate_ml", "hard_gate_ml")


def planned_size_term(
    size_term: SizeTerm, plans: PlansManager, configuration: ConfigurationManager, trainer: str
) -> SizeTerm:
    """Returns S with the voxels of a plan for its mL; ends the process where the plan's images have no volume."""
    try:
        return size_term.in_voxels(lambda ml: planned_voxels(ml, plans, configuration))
    except ValueError as error:
        print(f"{trainer}: {error}", file=sys.stderr)
        sys.exit(2)


def size_settings(named: SizeTerm, used: SizeTerm) -> dict[str, Any]:
    """Returns what the log and the checkpoint say of S: tau, cap, and what differs from the thesis.

    Args:
        named: S as the trainer's name has it.
        used: the same in voxels.
    """
    values = size_values(named, used)
    variants = ("per_lesion", "soft_cap", "log_ratio", *_GATES, "late_percent", "anneal_epochs")
    settings = {"tau_voxels": used.tau, "cap": used.cap, **{key: values[key] for key in variants if values[key]}}
    if used.gate is not None:
        settings["gate_voxels"] = used.gate.voxels
    if used.weighting != "fixed":
        settings["weighting"] = used.weighting
    return settings


def loss_settings(parameters: Parameters, batch_dice: bool | None) -> dict[str, Any]:
    """Returns what the log and the checkpoint say of the other terms: what differs from the thesis and the plan."""
    different = {
        field.name: getattr(parameters, field.name)
        for field in fields(parameters)
        if getattr(parameters, field.name) != getattr(DEFAULT, field.name)
    }
    return different if batch_dice is None else different | {"batch_dice": batch_dice}


def size_values(named: SizeTerm, used: SizeTerm) -> dict[str, Any]:
    """Returns all that can be said of S, by the attributes that `names.MODIFIERS` lists; arguments as above."""
    return {
        "tau": used.tau,
        "tau_ml": named.tau.value if isinstance(named.tau, Millilitres) else None,
        "tau_auto": named.tau == AUTO,
        "cap": used.cap,
        "size_weight": used.weight,
        "per_lesion": used.per_lesion,
        "soft_cap": used.soft_cap,
        "log_ratio": used.log_ratio,
        **dict.fromkeys(_GATES),
        **({} if named.gate is None else {_gate_name(named.gate): _ml(named.gate)}),
        "late_percent": used.late_percent,
        "anneal_epochs": used.anneal_epochs,
        "weighting": used.weighting,
    }


def _gate_name(gate: Gate) -> str:
    if gate.by == "predicted":
        return "predicted_gate_ml"
    return "hard_gate_ml" if gate.hard else "gate_ml"


def _ml(gate: Gate) -> float | None:
    return gate.voxels.value if isinstance(gate.voxels, Millilitres) else None
