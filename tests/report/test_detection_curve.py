"""The curve through the first plot."""

import numpy as np
import pandas as pd
import pytest

from nnunetv2_sizepenalty.report.detection_curve import detection_curve


def simulate(n=600, slope=1.5, middle_ml=0.5, seed=0):
    rng = np.random.default_rng(seed)
    volume = np.exp(rng.uniform(np.log(0.02), np.log(20), n))
    rate = 1 / (1 + np.exp(-slope * np.log(volume / middle_ml)))
    return pd.DataFrame({"case": rng.integers(0, 80, n), "volume_ml": volume, "detected": rng.random(n) < rate})


def test_band_covers_the_curve_that_made_the_lesions():
    curve = detection_curve(simulate())
    truth = 1 / (1 + np.exp(-1.5 * np.log(curve["volume_ml"] / 0.5)))
    assert ((curve["low"] <= truth) & (truth <= curve["high"])).mean() > 0.9
    assert ((curve["low"] < curve["rate"]) & (curve["rate"] < curve["high"])).all()
    assert curve[["low", "high"]].stack().between(0, 1).all()
    assert np.interp(0, np.log(curve["volume_ml"] / 0.5), curve["rate"]) == pytest.approx(0.5, abs=0.08)


def test_lesions_repeated_within_a_case_do_not_narrow_the_band():
    lesions = simulate(60)
    once, thrice = detection_curve(lesions), detection_curve(pd.concat([lesions] * 3))
    width = [(curve["high"] - curve["low"]).mean() for curve in (once, thrice)]
    assert width[1] == pytest.approx(width[0], rel=0.05)


@pytest.mark.parametrize(
    ("volumes", "detected"),
    [
        ([1.0, 2.0, 3.0], [True, False, True]),
        (np.arange(1, 21), [True] * 20),
        (np.arange(1, 21), [False] * 20),
        ([1.0] * 20, [True, False] * 10),
        (np.arange(1, 21), [False] * 10 + [True] * 10),
        (np.arange(1, 21), [True] * 10 + [False] * 10),
    ],
    ids=["few", "all found", "all missed", "one volume", "separated", "separated the other way"],
)
def test_no_curve_where_it_says_nothing(volumes, detected):
    lesions = pd.DataFrame({"case": range(len(volumes)), "volume_ml": volumes, "detected": detected})
    assert detection_curve(lesions) is None
