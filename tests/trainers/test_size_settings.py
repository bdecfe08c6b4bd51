"""What a trainer tells of its S, in its settings and in debug.json."""

import pytest

from nnunetv2_sizepenalty.trainers.names import MODIFIERS, parse
from nnunetv2_sizepenalty.trainers.size_settings import size_settings, size_values

OF_S = {modifier.attribute for modifier in MODIFIERS if modifier.size_term}


def told(suffix, tell):
    named = parse("nnUNetTrainerDTS" + suffix).size_term
    return tell(named, named.in_voxels(lambda ml: 125 * ml))


@pytest.mark.parametrize(
    ("suffix", "settings"),
    [
        ("", {"tau_voxels": 600.0, "cap": 10.0}),
        ("_tau2ml_lambda0p1_cap20", {"tau_voxels": 250.0, "cap": 20.0}),
        (
            "_perlesion_softcap_logratio_gate5ml_late40_balanced",
            {
                "tau_voxels": 600.0,
                "cap": 10.0,
                "per_lesion": True,
                "soft_cap": True,
                "log_ratio": True,
                "gate_ml": 5.0,
                "late_percent": 40,
                "gate_voxels": 625.0,
                "weighting": "balanced",
            },
        ),
        (
            "_gatePred2ml_anneal3",
            {"tau_voxels": 600.0, "cap": 10.0, "predicted_gate_ml": 2.0, "anneal_epochs": 3, "gate_voxels": 250.0},
        ),
        ("_hardgate2ml", {"tau_voxels": 600.0, "cap": 10.0, "hard_gate_ml": 2.0, "gate_voxels": 250.0}),
    ],
)
def test_settings_hold_what_differs_from_the_thesis_in_the_order_of_0_1_0(suffix, settings):
    assert list(told(suffix, size_settings).items()) == list(settings.items())


@pytest.mark.parametrize("modifier", [m for m in MODIFIERS if m.size_term], ids=lambda modifier: modifier.example)
def test_every_modifier_of_s_can_be_read_from_debug_json(modifier):
    values = told("_" + modifier.example, size_values)
    assert values.keys() == OF_S
    said = parse(f"nnUNetTrainerDTS_{modifier.example}").values[modifier.attribute]
    assert values[modifier.attribute] == said != told("", size_values)[modifier.attribute]
