"""Thresholds that follow the predicted values."""

import json

import numpy as np
import pytest
from operating_point_data import softmax_of

from nnunetv2_sizepenalty.curves.calibration import count_calibration
from nnunetv2_sizepenalty.nnunet_io.thresholds import above, logit
from nnunetv2_sizepenalty.operating_point import (
    Objective,
    choose_operating_point,
    choose_operating_points,
    make_grid,
    read_operating_point,
)
from nnunetv2_sizepenalty.operating_point.choose import Choice, CrossFit
from nnunetv2_sizepenalty.operating_point.choose_classes import extend
from nnunetv2_sizepenalty.operating_point.grid import Cut
from nnunetv2_sizepenalty.operating_point.logit_ladder import LogitLadder
from nnunetv2_sizepenalty.operating_point.point import ClassPoint

SPACING_MM = (3.0, 1.0, 1.0)
SHAPE = (8, 40, 40)


def probabilities(seed: int, shift: float, scale: float = 2.0) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(shift, scale, SHAPE)
    return (1 / (1 + np.exp(-logits))).astype(np.float32)


def reference() -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[2:5, 10:20, 10:20] = True
    return mask


def ladder_of(*maps: np.ndarray) -> LogitLadder:
    return LogitLadder.of([count_calibration(p, reference(), SPACING_MM) for p in maps])


@pytest.mark.parametrize("shift", [-12, -4, 0, 6, 8])
def test_rungs_are_quantiles_wherever_the_values_lie(shift):
    maps = [probabilities(seed, shift) for seed in (0, 1)]
    thresholds = ladder_of(*maps).thresholds
    values = np.concatenate([p.ravel() for p in maps])
    above_each = np.array([above(values, t).sum() for t in thresholds])
    lesion = 2 * reference().sum()
    assert above_each[0] == pytest.approx(min(32 * lesion, len(values)), rel=0.03)
    assert above_each[-1] == (values == 1).sum()
    # twice the voxels every fourth rung, up to the histogram's steps
    near = above_each[above_each > lesion / 32]
    assert (near[:-1] / near[1:]).max() < 2**0.25 * 1.15
    assert np.diff(logit(np.array(thresholds))).max() <= 0.5 + 1e-9
    assert ladder_of(*maps).thresholds == thresholds


def test_saturated_values_end_where_float32_does():
    saturated = np.where(reference(), 1, 0).astype(np.float32)
    saturated[0] = 1  # 1,600 voxels that are certain and no lesion
    thresholds = ladder_of(saturated).thresholds
    assert all(0 < np.float32(t) < 1 for t in thresholds)
    assert above(saturated, thresholds[-1]).sum() == 1900


@pytest.mark.parametrize("shift", [-4, -20])
def test_extensions_go_on_until_everything_is_predicted(shift):
    values = probabilities(0, shift)
    ladder, previous, n = ladder_of(values), None, 0
    first = ladder.thresholds
    while ladder != previous:
        previous, ladder, n = ladder, ladder.extended(), n + 1
        assert n < 50
    assert ladder.thresholds[0] < first[0]
    assert set(first) <= set(ladder.thresholds)
    assert above(values, ladder.thresholds[0]).all()
    assert logit(ladder.thresholds[0]) >= -87.01


@pytest.fixture
def faint(write_model):
    """A good model whose probabilities are shifted far down, with 60 times as bright a halo as lesions are large."""

    def make(shift: float):
        cases = {}
        for case in range(4):
            rng = np.random.default_rng(case)
            mask = np.zeros(SHAPE, bool)
            mask[4, 8 + case : 11 + case, 8:12] = True
            logits = np.where(mask, 4.0, -4.0) + rng.normal(0, 1, SHAPE) + shift
            cases[f"case_{case}"] = mask, softmax_of((1 / (1 + np.exp(-logits))).astype(np.float32))
        return write_model({"0": cases}, name=f"model{shift:g}")

    return make


@pytest.mark.parametrize("shift", [-11, 0, 8])
def test_a_shifted_model_gets_the_same_masks_without_a_word_about_other_grids(faint, tmp_path, shift, capsys):
    from nnunetv2_sizepenalty.cli.main import main

    model = faint(shift)
    arguments = ["-o", str(tmp_path / "out"), "-ref", str(model.references), "-np", "1", "--min-voxels", "0"]
    assert main(["threshold", str(model.path), *arguments]) == 0
    text = capsys.readouterr().out
    assert "WARNING" not in text
    assert "dense" not in text
    point = choose_operating_point(model, tmp_path / "again", grid=make_grid(min_voxels=[0]))
    choice = point.classes["lesion"].ensemble
    assert choice.score > 0.95
    assert abs(logit(choice.threshold) - shift) < 4
    assert 0.5 in point.candidates.thresholds


def test_an_optimum_beyond_the_first_grid_extends_it(write_model, tmp_path):
    """Every lesion voxel is fainter than fifty times as many others, so that the best Dice lies at 51 volumes."""
    mask = np.zeros(SHAPE, bool)
    mask[4, 8:11, 8:12] = True
    logits = np.random.default_rng(0).normal(-9, 0.5, SHAPE)
    logits[0, :15] = -1  # 600 voxels
    logits[mask] = -3
    model = write_model({"0": {"case": (mask, softmax_of((1 / (1 + np.exp(-logits))).astype(np.float32)))}})
    first = ladder_of_model(model)
    assert logit(first.thresholds[0]) > -3
    point = choose_operating_point(model, tmp_path / "out", grid=make_grid(min_voxels=[0]))
    choice = point.classes["lesion"].ensemble
    assert -8 < logit(choice.threshold) < -3
    assert choice.score == pytest.approx(2 * 12 / (12 + 612))
    assert choice.edge == ()


def test_an_optimum_of_the_cross_fit_extends_it_too():
    ladder = ladder_of(probabilities(0, 0))
    grid = make_grid().with_thresholds(ladder.thresholds)

    def extended(threshold: float) -> bool:
        fitted = {"0": CrossFit(1, 1, 1, 1, Cut(threshold)), "mean": CrossFit(1, 1, 1, 1)}
        choice = Choice(0.5, 0, score=1, score_at_half=1, score_nnunet=1)
        chosen = ClassPoint((1,), choice, {}, fitted, calibration=None, table=[])
        return extend(ladder, grid, [chosen]) != ladder

    assert [extended(t) for t in (grid.thresholds[0], 0.5)] == [True, False]


def ladder_of_model(model) -> LogitLadder:
    file = model.path / "fold_0" / "validation" / "case.npz"
    mask = np.zeros(SHAPE, bool)
    mask[4, 8:11, 8:12] = True
    return LogitLadder.of([count_calibration(np.load(file)["probabilities"][1], mask, SPACING_MM)])


def test_several_objectives_come_from_one_set_of_counts(faint, tmp_path, capsys):
    model, grid = faint(0), make_grid(min_voxels=[0, 4])
    objectives = [Objective.parse(text) for text in ("dice", "lesion_f1@2", "size_penalty:1.5", "sensitivity@0.25")]
    points = choose_operating_points([model], tmp_path / "out", objectives=objectives, grid=grid)
    assert [p.path.name for p in points] == [
        "operating_point.json",
        "operating_point_lesion_f1@2.json",
        "operating_point_size_penalty_1.5.json",
        "operating_point_sensitivity@0.25.json",
    ]
    written = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert written == sorted([p.path.name for p in points] + [p.path.with_suffix(".png").name for p in points])
    assert len(list((model.path / "operating_point" / "counts").glob("*/*.npz"))) == 4
    capsys.readouterr()
    for objective, point in zip(objectives, points, strict=True):
        alone = choose_operating_point(model, tmp_path / "alone", objective=objective, grid=grid)
        assert "4 of 4 cases are counted already" in capsys.readouterr().out
        assert alone.to_json() == point.to_json()
        assert json.loads(read_operating_point(point.path).to_json()) == json.loads(point.to_json())
    with_limit = points[1].classes["lesion"]
    row = next(
        r
        for r in with_limit.table
        if (r["fold"], r["threshold"], r["min_size"])
        == ("ensemble", with_limit.ensemble.threshold, with_limit.ensemble.min_size)
    )
    assert row["false_positives_per_case"] <= 2
