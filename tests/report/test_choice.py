"""Which cases the page carries."""

import dataclasses

import numpy as np
import pandas as pd
from made_evaluations import empty_label, make_summary

from nnunetv2_sizepenalty.evaluation import Evaluation
from nnunetv2_sizepenalty.evaluation.share_check import Oversized, ShareSummary
from nnunetv2_sizepenalty.report.choice import BEST, MEDIAN, MISSED, NAMED, OVERSIZED, WORST, choose_cases
from nnunetv2_sizepenalty.report.embed import LEAST, MOST, PAGE, ROWS, SCRIPTS, volume_budget


def evaluation(dice: dict[str, float], missed: dict[str, float], times: dict[str, float] | None = None) -> Evaluation:
    cases = pd.DataFrame({"case": list(dice), "label": "a", "dice": list(dice.values())})
    lesions = pd.DataFrame(
        {"case": list(missed), "kind": "reference", "detected": False, "volume_ml": list(missed.values())}
    )
    found = pd.DataFrame({"case": ["c00"], "kind": "reference", "detected": True, "volume_ml": [99.0]})
    oversized = {case: (Oversized(1, 1, 11.0), Oversized(2, 1, most)) for case, most in (times or {}).items()}
    share = ShareSummary("share", 9, 9, 8, 0, 1, oversized)
    summary = make_summary(labels={"a": dataclasses.replace(empty_label(1), share=share)})
    return Evaluation(cases, pd.concat([lesions, found]), summary)


def test_named_then_largest_missed_then_by_dice():
    dice = {f"c{i:02d}": i / 20 for i in range(20)}
    missed = {"c10": 1.0, "c11": 5.0, "c12": 3.0, "c13": 0.1}
    chosen = choose_cases(evaluation(dice, missed), ["c15", "c11"], per_group=3)
    assert list(chosen.items()) == [
        ("c15", NAMED), ("c11", NAMED), ("c12", MISSED), ("c10", MISSED),
        ("c00", WORST), ("c01", WORST), ("c02", WORST), ("c08", MEDIAN), ("c09", MEDIAN),
        ("c19", BEST), ("c18", BEST), ("c17", BEST),
    ]  # fmt: skip


def test_the_most_oversized_come_before_the_missed():
    times = {"c01": 20.0, "c02": 900.0, "c03": 12.0, "c04": 15.0}
    chosen = choose_cases(evaluation({f"c{i:02d}": i / 20 for i in range(20)}, {"c10": 1.0}, times), ["c05"])
    assert list(chosen)[:5] == ["c05", "c02", "c01", "c04", "c10"]
    assert [chosen[case] for case in ("c02", "c01", "c04")] == [OVERSIZED] * 3


def test_undefined_dice_is_neither_worst_nor_best():
    dice = {"empty": np.nan, "a": 0.1, "b": 0.9}
    assert "empty" not in choose_cases(evaluation(dice, {}))


def test_all_undefined_still_shows_something():
    assert list(choose_cases(evaluation({"a": np.nan, "b": np.nan}, {}))) == ["a", "b"]


def test_volumes_leave_room_for_the_rows():
    few, many = (pd.DataFrame({"x": ["0123456789"] * n}) for n in (10, 200_000))
    assert volume_budget([few]) == MOST
    assert LEAST < volume_budget([many]) == int(PAGE - SCRIPTS - ROWS * (2 + 11 * 200_000)) < MOST
    assert volume_budget([many, many]) == LEAST
