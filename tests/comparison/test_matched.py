"""Models brought to one rate of false positives."""

import dataclasses

import pandas as pd
import pytest
from made_evaluations import make_evaluation, make_froc_summary, make_model

from nnunetv2_sizepenalty.comparison.matched import MATCHED_METRICS, match_false_positives, read_frocs
from nnunetv2_sizepenalty.curves.froc import Froc, write_froc
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation.protocols import SHARE, Protocol

CASES = ("a", "b")
THRESHOLDS = (0.1, 0.3, 0.5, 0.7)


def froc(false_positives: tuple[float, ...], dice: tuple[float, ...], cases=CASES, description="default") -> Froc:
    """The same numbers in every case, one per threshold."""
    rows = [
        {"case": case, "label": "lesion", "threshold": t, **dict.fromkeys(MATCHED_METRICS, 0.0), "n_reference": 1}
        | {"false_positives": fp, "dice": d, "reference_ml": 2.0}
        for case in cases
        for t, fp, d in zip(THRESHOLDS, false_positives, dice, strict=True)
    ]
    return Froc(pd.DataFrame(), pd.DataFrame(rows), pd.DataFrame(), make_froc_summary(description=description))


def models(rate=1.0):
    return [make_model(name, make_evaluation(CASES, false_positives=rate)) for name in ("A", "B")]


def test_every_model_is_cut_at_the_baseline_s_rate():
    frocs = {"A": [froc((4, 2, 1, 0), (0.1, 0.2, 0.3, 0.4))], "B": [froc((9, 9, 3, 0.5), (0.5, 0.6, 0.7, 0.8))]}
    matched = match_false_positives(models(), frocs, "lesion")
    assert matched.false_positives_per_case == 1
    assert matched.thresholds == {"A": (0.5,), "B": (0.7,)}
    assert [m.cases["dice"].tolist() for m in matched.models] == [[0.3, 0.3], [0.8, 0.8]]


SHARE_RULES = Protocol(detection=SHARE).description


def test_the_rate_is_counted_by_the_rule_of_the_curves():
    """The baseline has one false positive a case by any overlap, two by the share rule."""
    by_overlap = models()
    by_share = [dataclasses.replace(m, cases=m.cases.assign(false_positives_share=2.0)) for m in by_overlap]
    for baseline, description, rate in (
        (by_overlap, SHARE_RULES, 1),  # evaluated by 0.1.0
        (by_share, SHARE_RULES, 2),
        (by_share, Protocol().description, 1),
    ):
        frocs = {"A": [froc((4, 2, 1, 0), (0.1, 0.2, 0.3, 0.4), description=description)]}
        matched = match_false_positives(baseline, frocs, "lesion")
        assert matched.false_positives_per_case == rate
        assert f"detected: {matched.detection}" in description


def test_where_components_grow_together_nothing_is_cut():
    """At 0.1 there are as few false positives as at 0.7, and one of three lesions."""
    one = froc((1, 4, 2, 1), (0.1, 0.2, 0.3, 0.4))
    points = one.points.assign(n_reference=3, missed=one.points["threshold"].map({0.1: 2, 0.3: 0, 0.5: 1, 0.7: 1}))
    frocs = {"A": [dataclasses.replace(one, points=points.assign(false_positives=1.0))]}
    assert match_false_positives(models(), frocs, "lesion").thresholds == {"A": (0.3,)}


def test_frocs_of_two_rules_are_not_mixed(tmp_path):
    for name, protocol in (("A", Protocol()), ("B", Protocol(detection=SHARE))):
        one = froc((1,) * 4, (0,) * 4, description=protocol.description)
        write_froc(dataclasses.replace(one, curves=one.points, voxels=one.points), tmp_path / name)
    evaluated = [
        make_model(name, dataclasses.replace(e, summary=dataclasses.replace(e.summary, description=rules)))
        for name, e in ((name, make_evaluation(CASES)) for name in "AB")
        for rules in [Protocol().description]
    ]
    with pytest.raises(UserError, match=r"(?s)different ways.*any overlap.*share of lesion.*one --detection"):
        read_frocs(evaluated, {name: [tmp_path / name] for name in "AB"})
    assert list(read_frocs(evaluated, {"A": [tmp_path / "B"]})) == ["A"], "a protocol's own rule is for one point"


def test_folds_are_cut_together_and_repeats_apart():
    folds = [
        froc((4, 2, 1, 0), (0.1, 0.2, 0.3, 0.4), cases=("a",)),
        froc((4, 0, 0, 0), (0.5, 0.6, 0.7, 0.8), cases=("b",)),
    ]
    repeats = [froc((4, 2, 1, 0), (0.1, 0.2, 0.3, 0.4)), froc((1, 0, 0, 0), (0.5, 0.6, 0.7, 0.8))]
    matched = match_false_positives(models(), {"A": folds, "B": repeats}, "lesion")
    assert matched.thresholds == {"A": (0.3,), "B": (0.5, 0.1)}
    assert matched.models[0].cases["dice"].tolist() == [0.2, 0.6]
    assert matched.models[1].cases["dice"].tolist() == pytest.approx([0.4, 0.4])
    assert len(matched.models[1].repeats) == 2


def test_a_model_that_never_gets_that_low_is_said():
    frocs = {"A": [froc((4, 2, 1, 0), (0.1, 0.2, 0.3, 0.4))], "B": [froc((9, 8, 7, 6), (0.5, 0.6, 0.7, 0.8))]}
    matched = match_false_positives(models(), frocs, "lesion")
    assert matched.out_of_reach == ("B",)
    assert [model.name for model in matched.models] == ["A"]


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"A": froc((1,) * 4, (0,) * 4), "X": froc((1,) * 4, (0,) * 4)}, "--froc X=...: no such model"),
        ({"B": froc((1,) * 4, (0,) * 4)}, "give A=OUT too"),
        ({"A": froc((1,) * 4, (0,) * 4, description="thesis")}, "other rules"),
        ({"A": froc((1,) * 4, (0,) * 4, cases=("a",))}, "1 cases, not the 2"),
    ],
    ids=["unknown model", "no baseline", "rules", "cases"],
)
def test_frocs_that_do_not_belong_are_refused(tmp_path, named, message):
    for name, one in named.items():
        write_froc(dataclasses.replace(one, curves=one.points, voxels=one.points), tmp_path / name)
    with pytest.raises(UserError, match=message):
        read_frocs(models(), {name: [tmp_path / name] for name in named})
