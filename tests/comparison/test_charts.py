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
    assert domain(2.0) == domain(50.0) == pytest.approx([-0.015, 0.315])


def test_rve_alone_has_the_axis_for_itself():
    low, high = domain(5.0, metrics=("rve",))
    assert low == pytest.approx(-10 - 0.05 * 10)
    assert high == pytest.approx(0.05 * 10)
