"""Axes that a comparison's metrics share."""

import pandas as pd
import pytest

from nnunetv2_sizepenalty.comparison.charts import improvement_chart


def domain(rve_high: float, metrics: tuple[str, ...] = ("dice", "rve")) -> list[float]:
    """Ends of the axis of two metrics whose baseline is 0.5: Dice 0.1 better, RVE worse by up to `rve_high`."""
    rows = {"dice": (0.1, 0.05, 0.15), "rve": (1.0, 0.5, rve_high)}
    frame = pd.DataFrame(
        [
            {"metric": m, "model": "b", "baseline_mean": 0.5, "difference": d, "low": low, "high": high}
            for m, (d, low, high) in rows.items()
            if m in metrics
        ]
    ).assign(verdict="better", p_holm=0.01, p_corrected=0.01)
    chart = improvement_chart(frame).to_dict()
    scales = [layer["encoding"]["x"].get("scale", {}) for layer in chart["layer"]]
    (ends,) = {tuple(scale["domain"]) for scale in scales if "domain" in scale}
    assert all(scale["clamp"] for scale in scales if "domain" in scale)
    return list(ends)


def test_rve_does_not_stretch_the_common_axis():
    low, high = domain(2.0)
    assert domain(50.0) == [low, high]
    assert low == pytest.approx(-1 - 0.05 * 1.3)
    assert high == pytest.approx(0.3 + 0.05 * 1.3)


def test_what_is_bounded_has_the_axis_for_itself():
    assert domain(50.0, metrics=("dice",)) == pytest.approx([-0.015, 0.315])
