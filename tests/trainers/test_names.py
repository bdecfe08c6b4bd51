"""The grammar of -tr: every name has one spelling and one meaning."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnunetv2_sizepenalty.losses import COMMON_COMBINATIONS, TERMS, Parameters, spelling
from nnunetv2_sizepenalty.losses.size_term import AUTO, THESIS, Gate, Millilitres, SizeTerm
from nnunetv2_sizepenalty.trainers.names import MODIFIERS, PREFIX, example_combination, parse, right_spelling, step_size


@pytest.mark.parametrize("combination", COMMON_COMBINATIONS)
def test_every_combination_is_a_name(combination):
    parsed = parse(PREFIX + combination)
    assert (parsed.combination, dict(parsed.values)) == (combination, {})


@pytest.mark.parametrize(
    ("suffix", "values"),
    [
        ("_nnUNet", {"recipe": "nnUNet"}),
        ("_nnUNetDA", {"augmentation": "nnUNetDA"}),
        ("_shifted", {"shifted": True}),
        (
            "_nnUNet_lesionuniform_shifted_positive0p66_keepSmall_tauAuto",
            {
                "recipe": "nnUNet",
                "sampling": "lesionuniform",
                "shifted": True,
                "forced_share": 0.66,
                "keep_small": True,
                "tau_auto": True,
            },
        ),
        ("_tau300", {"tau": 300.0}),
        ("_tau12p5", {"tau": 12.5}),
        ("_lambda0p1", {"size_weight": 0.1}),
        ("_cap20", {"cap": 20.0}),
        ("_250epochs", {"epochs": 250}),
        ("_seed0", {"seed": 0}),
        ("_gate5ml", {"gate_ml": 5.0}),
        ("_gatePred0p5ml", {"predicted_gate_ml": 0.5}),
        ("_hardgate5ml", {"hard_gate_ml": 5.0}),
        ("_late40", {"late_percent": 40}),
        ("_anneal50", {"anneal_epochs": 50}),
        ("_tau2ml", {"tau_ml": 2.0}),
        (
            "_perlesion_softcap_logratio_gate5ml_late5_balanced_priorbias_lesionuniform_tauAuto_lambda0p1_cap20",
            {
                "per_lesion": True,
                "soft_cap": True,
                "log_ratio": True,
                "gate_ml": 5.0,
                "late_percent": 5,
                "weighting": "balanced",
                "prior_bias": True,
                "sampling": "lesionuniform",
                "tau_auto": True,
                "size_weight": 0.1,
                "cap": 20.0,
            },
        ),
        (
            "_nnUNet_tau300_lambda1_cap0p5_2epochs_seed17",
            {"recipe": "nnUNet", "tau": 300.0, "size_weight": 1.0, "cap": 0.5, "epochs": 2, "seed": 17},
        ),
    ],
)
def test_modifiers_set_values(suffix, values):
    assert dict(parse("nnUNetTrainerDTS" + suffix).values) == values


@pytest.mark.parametrize(
    ("suffix", "size_term"),
    [
        ("", THESIS),
        ("_nnUNet_2epochs_seed1", THESIS),
        ("_tau300_lambda0p1_cap20", SizeTerm(tau=300.0, weight=0.1, cap=20.0)),
        ("_tau2ml", SizeTerm(tau=Millilitres(2.0))),
        ("_tauAuto", SizeTerm(tau=AUTO)),
        ("_gate5ml", SizeTerm(gate=Gate(Millilitres(5.0)))),
        ("_gatePred0p5ml", SizeTerm(gate=Gate(Millilitres(0.5), by="predicted"))),
        ("_hardgate5ml", SizeTerm(gate=Gate(Millilitres(5.0), hard=True))),
        ("_perlesion_softcap_logratio", SizeTerm(per_lesion=True, soft_cap=True, log_ratio=True)),
        ("_late40_balanced", SizeTerm(late_percent=40, weighting="balanced")),
        ("_anneal50_learned", SizeTerm(anneal_epochs=50, weighting="learned")),
    ],
)
def test_modifiers_of_s_set_fields_of_its_term(suffix, size_term):
    name = parse("nnUNetTrainerDTS" + suffix)
    assert name.size_term == name.class_attributes["size_term"] == size_term


def test_the_grammar_needs_no_torch():
    code = "import sys, nnunetv2_sizepenalty.trainers.names; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


@pytest.mark.parametrize("modifier", MODIFIERS, ids=lambda modifier: modifier.example)
def test_the_example_of_each_modifier_is_valid(modifier):
    assert modifier.attribute in parse(f"{PREFIX}{example_combination(modifier)}_{modifier.example}").values


@pytest.mark.parametrize(
    "name",
    [
        "nnUNetTrainer",
        "nnUNetTrainerSDT",  # letters in another order
        "nnUNetTrainerSC",
        "nnUNetTrainerDD",
        "nnUNetTrainerDX",
        "nnUNetTrainerDT_gamma2",  # F is not in it
        "nnUNetTrainerDTS_sizeweight4",  # C, K and F are not in it
        "nnUNetTrainerDK_sizeweight0",
        "nnUNetTrainerDT_fn1",
        "nnUNetTrainerDT_batchDice_sampleDice",
        "nnUNetTrainerD_D0p5",  # the only term has weight 1
        "nnUNetTrainerDK_L0p5",
        "nnUNetTrainerdts",
        "nnUNetTrainerDTS_",
        "nnUNetTrainerDTS__tau300",  # nnU-Net splits folder names at two underscores
        "nnUNetTrainerDTS_250epochs_tau300",  # another order
        "nnUNetTrainerDTS_tau300_tau200",
        "nnUNetTrainerDTS_nnUNet_nnUNetDA",
        "nnUNetTrainerDTS_nnUNetDA_nnUNet",
        "nnUNetTrainerDTS_tau300.5",
        "nnUNetTrainerDTS_tau0300",
        "nnUNetTrainerDTS_tau300p0",
        "nnUNetTrainerDTS_tau0",
        "nnUNetTrainerDTS_lambda0",
        "nnUNetTrainerDTS_cap-1",
        "nnUNetTrainerDTS_0epochs",
        "nnUNetTrainerDTF_tau300",  # S is not in it
        "nnUNetTrainerDTF_lambda0p1",
        "nnUNetTrainerDTF_perlesion",
        "nnUNetTrainerS_balanced",  # nothing to balance with
        "nnUNetTrainerS_late40",
        "nnUNetTrainerDTS_balanced_learned",
        "nnUNetTrainerDTS_gate5ml_hardgate5ml",
        "nnUNetTrainerDTS_late40_anneal2",
        "nnUNetTrainerDTS_late0",
        "nnUNetTrainerDTS_late100",
        "nnUNetTrainerDTS_anneal0",
        "nnUNetTrainerDTS_gate0ml",
        "nnUNetTrainerDTS_tau300_tau2ml",
        "nnUNetTrainerDTS_tauauto",
        "nnUNetTrainerDTS_softcap_perlesion",
        "nnUNetTrainerDTS_something",
        "nnUNetTrainerDTS_keepSmall",  # the thesis's recipe has no deep supervision
        "nnUNetTrainerDTS_nnUNetDA_keepSmall",
        "nnUNetTrainerDTS_shifted_lesionuniform",
        "nnUNetTrainerDTS_positive1p1",
        "SomeTrainerDTS",
    ],
)
def test_other_spellings_are_no_names(name):
    assert parse(name) is None


@pytest.mark.parametrize(
    ("name", "thesis"),
    [("nnUNetTrainerDTS_tau300", 0.25), ("nnUNetTrainerS", 0.25), ("nnUNetTrainerDTF", 0.5), ("nnUNetTrainer", 0.5)],
)
def test_step_size_is_one_for_all_unless_the_thesiss_is_asked_for(name, thesis):
    assert step_size(name) == 0.5
    assert step_size(name, thesis_overlap=True) == thesis


def test_sampling_and_bias_need_no_size_penalty():
    assert parse("nnUNetTrainerDC_nnUNet_priorbias_lesionuniform") is not None


@pytest.mark.parametrize(
    ("suffix", "parameters"),
    [
        ("DTF", Parameters()),
        ("DT_fn0p8_power0p75", Parameters(false_negatives=0.8, power=0.75)),
        ("F_gamma0", Parameters(gamma=0.0)),
        ("FC_alpha0p5_sizeweight4", Parameters(alpha=0.5, size_weight=4.0)),
        ("DT_noSmooth", Parameters(smooth=0.0)),
    ],
)
def test_modifiers_of_other_terms_set_parameters(suffix, parameters):
    name = parse("nnUNetTrainer" + str(spelling(suffix.split("_")[0])) + suffix[len(suffix.split("_")[0]) :])
    assert name.parameters == name.class_attributes.get("parameters", Parameters()) == parameters


def test_weights_of_letters():
    name = parse("nnUNetTrainerDKLS_lambda0p1_K0p5_L2")
    assert name.term_weights == {"K": 0.5, "L": 2.0, "S": 0.1}
    assert name.class_attributes["own_weights"] == {"K": 0.5, "L": 2.0}


def test_tau_is_of_s_h_and_the_weight_of_small_lesions():
    assert parse("nnUNetTrainerDK_sizeweight4_tau2ml").size_term == SizeTerm(tau=Millilitres(2.0))
    assert parse("nnUNetTrainerDCH_tauAuto").class_attributes["size_term"] == SizeTerm(tau=AUTO)
    assert parse("nnUNetTrainerDK_tau2ml") is None


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("nnUNetTrainerSDT", "nnUNetTrainerDTS"),
        ("nnUNetTrainerCS", "nnUNetTrainerCS"),
        ("nnUNetTrainerDFS", "nnUNetTrainerFSD"),
        ("nnUNetTrainerLKD_seed1_sizeweight4_nnUNet", "nnUNetTrainerDKL_nnUNet_sizeweight4_seed1"),
        ("nnUNetTrainerDD", "nnUNetTrainerD"),
        ("nnUNetTrainerDX", None),
        ("nnUNetTrainerDT_tau300", None),
        ("nnUNetTrainerDTS_balanced_learned", None),
        ("somethingDT", None),
    ],
)
def test_another_order_is_answered_with_the_right_one(name, right):
    assert right_spelling(name) == right


def test_every_name_of_0_1_0_means_what_it_meant():
    """Every combination with every modifier beside which it had one, and with many: as 0.1.0's `parse` read them."""
    names = json.loads(Path(__file__).with_name("names_0_1_0.json").read_text())
    assert len(names) == 316
    for name, values in names.items():
        assert (parse(name).combination, dict(parse(name).values)) == (name.split("_")[0].removeprefix(PREFIX), values)


@st.composite
def names_of_the_grammar(draw):
    letters = draw(st.sets(st.sampled_from(sorted(TERMS)), min_size=1))
    parts, slot, values = [PREFIX + str(spelling(letters))], -1, {}
    for modifier in MODIFIERS:
        if modifier.slot > slot and modifier.fits("".join(letters), values) and draw(st.booleans()):
            parts.append(modifier.example)
            slot, values = modifier.slot, {**values, modifier.attribute: True}
    return "_".join(parts)


@settings(max_examples=500, deadline=None)
@given(names_of_the_grammar(), st.randoms())
def test_every_name_of_the_grammar_is_read_and_found_again_from_any_order(name, random):
    parsed = parse(name)
    assert parsed is not None
    combination, *tokens = name.split("_")
    letters = list(combination.removeprefix(PREFIX))
    assert set(parsed.combination) == set(letters)
    assert len(parsed.values) == len(tokens)
    random.shuffle(letters)
    random.shuffle(tokens)
    assert right_spelling("_".join([PREFIX + "".join(letters), *tokens])) == name
