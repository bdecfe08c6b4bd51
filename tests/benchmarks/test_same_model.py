"""The simulation of ten seeds of one model: what it draws, and that a difference put into it is found."""

import sys
from pathlib import Path

import numpy as np
import pytest

from nnunetv2_sizepenalty.comparison.models import Model
from nnunetv2_sizepenalty.comparison.paired import CANNOT_TELL
from nnunetv2_sizepenalty.comparison.scores import differences
from nnunetv2_sizepenalty.comparison.setting import Setting
from nnunetv2_sizepenalty.evaluation.runs import mean_over_repeats
from nnunetv2_sizepenalty.lesions import SizeBins

# behind the evidence's scripts, two of which have namesakes there
sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import same_model


@pytest.mark.parametrize("scenario", same_model.SCENARIOS)
def test_a_difference_between_two_fives_is_found(scenario):
    seeds = same_model.simulate(scenario, 40, np.random.default_rng(1))
    assert len(seeds) == 10
    assert any(table["assd"].isna().any() for table in seeds), "empty predictions"
    groups = seeds[:5], [table.assign(dice=table["dice"] + 2) for table in seeds[5:]]
    models = [Model(name, (), tuple(of), mean_over_repeats(of)) for name, of in zip("AB", groups, strict=True)]
    table = differences(models, Setting("lesion", SizeBins()), ["all"]).set_index("metric")
    assert table.loc["dice", "verdict"] == "better"
    assert table.loc["assd", "verdict"] == CANNOT_TELL


def test_shares_are_told():
    text = same_model.told(np.array([2, 5, 126]))
    assert text == "2 of 126 tables carry a verdict, 1.6% (by the floor alone 4.0%)"
