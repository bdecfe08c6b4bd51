"""Which cases the page carries."""

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.evaluation import Evaluation
from nnunetv2_sizepenalty.report.choice import BEST, MEDIAN, MISSED, NAMED, WORST, choose_cases


def evaluation(dice: dict[str, float], missed: dict[str, float]) -> Evaluation:
    cases = pd.DataFrame({"case": list(dice), "label": "a", "dice": list(dice.values())})
    lesions = pd.DataFrame(
        {"case": list(missed), "kind": "reference", "detected": False, "volume_ml": list(missed.values())}
    )
    found = pd.DataFrame({"case": ["c00"], "kind": "reference", "detected": True, "volume_ml": [99.0]})
    return Evaluation(cases, pd.concat([lesions, found]), {})


def test_named_then_largest_missed_then_by_dice():
    dice = {f"c{i:02d}": i / 20 for i in range(20)}
    missed = {"c10": 1.0, "c11": 5.0, "c12": 3.0, "c13": 0.1}
    chosen = choose_cases(evaluation(dice, missed), ["c15", "c11"], per_group=3)
    assert list(chosen.items()) == [
        ("c15", NAMED), ("c11", NAMED), ("c12", MISSED), ("c10", MISSED),
        ("c00", WORST), ("c01", WORST), ("c02", WORST), ("c08", MEDIAN), ("c09", MEDIAN),
        ("c19", BEST), ("c18", BEST), ("c17", BEST),
    ]  # fmt: skip


def test_undefined_dice_is_neither_worst_nor_best():
    dice = {"empty": np.nan, "a": 0.1, "b": 0.9}
    assert "empty" not in choose_cases(evaluation(dice, {}))


def test_all_undefined_still_shows_something():
    assert list(choose_cases(evaluation({"a": np.nan, "b": np.nan}, {}))) == ["a", "b"]
