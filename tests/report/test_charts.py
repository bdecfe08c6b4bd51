"""Axes of volumes, FROC's useful part, and that each spec is one that Vega-Lite compiles."""

import itertools
import math

import pandas as pd
import pytest
import vl_convert
from made_evaluations import make_froc_summary

from nnunetv2_sizepenalty.curves.calibration import Reliability, VolumeRatio
from nnunetv2_sizepenalty.curves.froc import AveragePrecision, Froc, LabelFroc, MeanOverCases
from nnunetv2_sizepenalty.curves.froc_curve import make_curves
from nnunetv2_sizepenalty.pages.axes import LogAxis, jitter, round_ticks
from nnunetv2_sizepenalty.report import froc_section
from nnunetv2_sizepenalty.report.charts.froc import froc_chart, split_at_best


def test_log_axis_puts_zero_in_a_gutter():
    axis = LogAxis.of([0.0, 0.2, 30.0])
    assert axis.has_zero
    assert axis.low < axis.zero < 0.2 / 1.25
    assert axis.ticks == (1.0, 10.0)
    assert axis.axis("x").to_dict()["values"][0] == axis.zero


def test_log_axis_of_a_small_range_has_ticks_between():
    assert LogAxis.of([0.5, 6.0]).ticks == (0.5, 1.0, 2.0, 5.0)


def test_log_axis_of_a_single_volume_has_a_tick():
    axis = LogAxis.of([0.032, 0.032])
    assert axis.low < 0.032 < axis.high
    assert axis.ticks


@pytest.mark.parametrize("volumes", [[], [0.0, 0.0]])
def test_log_axis_without_volumes(volumes):
    axis = LogAxis.of(volumes)
    assert 0 < axis.low < axis.high


def test_round_ticks():
    assert round_ticks(6) == [0, 1, 2, 5]
    assert round_ticks(1.2) == [0, 0.5, 1]


def test_jitter_is_spread():
    values = sorted(jitter(100))
    assert values[0] >= 0
    assert max(b - a for a, b in itertools.pairwise(values)) < 0.03
    assert values[-1] < 1


def curves() -> pd.DataFrame:
    detected = [[9, 5, 4], [8, 4, 4], [5, 2, 3], [1, 0, 1]]
    false_positives = [[4, 4, 0], [30, 28, 2], [6, 6, 0], [0, 0, 0]]
    return make_curves(
        "a", (0.1, 0.3, 0.5, 0.9), ("all", "< 1 mL", ">= 1 mL"),
        lesions=pd.array([10, 6, 4]).to_numpy(int),
        detected=pd.DataFrame(detected).to_numpy(),
        false_positives=pd.DataFrame(false_positives).to_numpy(),
        cases=4,
    )  # fmt: skip


def test_a_curve_is_solid_up_to_its_highest_sensitivity_and_dashed_beyond():
    # 1, 5, 8 and then 7 of 10 lesions as the threshold falls.
    falling = curves().assign(sensitivity=lambda rows: rows["detected"] / rows["lesions"])
    falling.loc[(falling["stratum"] == "all") & (falling["threshold"] == 0.1), "sensitivity"] = 0.7
    split = split_at_best(falling[falling["stratum"] == "all"])
    assert split.loc[~split["beyond"], "threshold"].tolist() == [0.3, 0.5, 0.9]
    assert split.loc[split["beyond"], "threshold"].tolist() == [0.1, 0.3], "the lines meet"
    spec = froc_chart(falling, ["all"]).to_dict()
    dashes = {layer["transform"][0]["filter"]: layer["mark"].get("strokeDash") for layer in spec["layer"][:2]}
    assert dashes == {"!datum.beyond": None, "datum.beyond": [4, 4]}


def froc() -> Froc:
    of_label = LabelFroc(
        lesion_average_precision=0.25,
        voxel_average_precision=AveragePrecision(mean=0.5, cases=4, pooled=0.75),
        pr_auc=MeanOverCases(mean=0.5, cases=4),
        expected_calibration_error=0.1,
        neighbourhood_mm=10.0,
        reliability=Reliability(probability=(0.1, 0.9), observed=(0.05, 0.8), voxels=(100, 50)),
        volume_ratios=(VolumeRatio("none", 0, 0.0, 0.0, 0.0, math.nan, math.nan),),
    )
    empty = pd.DataFrame()
    return Froc(curves(), empty, empty, make_froc_summary(edges=(1.0,), labels={"a": of_label}))


def test_froc_specs_compile():
    specs = froc_section.froc_charts(froc(), "a")
    assert set(specs) == {"froc", "reliability"}
    for spec in specs.values():
        assert vl_convert.vegalite_to_vega(spec)["marks"]


def test_froc_in_words_and_numbers():
    assert "Lesion-wise average precision 0.250" in froc_section.froc_sentence(froc(), "a")
    (row,) = froc_section.volume_ratio_table(froc(), "a").rows
    assert [cell.text for cell in row] == ["no lesion", "0", "0", "0", "0", "–", "–"]
