"""No objective that counts lesions is won by marking everything (0.1.0 reported 1.0000)."""

import numpy as np
import pytest
from operating_point_data import SPACING_MM, softmax_of
from scipy.ndimage import gaussian_filter

from nnunetv2_sizepenalty.cli.main import main
from nnunetv2_sizepenalty.evaluation.protocols import Rule
from nnunetv2_sizepenalty.nnunet_io.thresholds import above
from nnunetv2_sizepenalty.operating_point import Objective, choose_operating_point, make_grid, read_operating_point
from nnunetv2_sizepenalty.operating_point.choose import choose
from nnunetv2_sizepenalty.operating_point.count_case import count_case
from nnunetv2_sizepenalty.operating_point.scores import Scores

OBJECTIVES = ["lesion_f1", "lesion_f1@2", "sensitivity@2", "sensitivity@1", "dice@2", "pq", "rve", "size_penalty"]
SHAPE = (24, 32, 32)


def lesions(case: int) -> np.ndarray:
    """Five lesions of twelve voxels."""
    rng, mask = np.random.default_rng(case), np.zeros(SHAPE, bool)
    for z, (y, x) in zip((2, 7, 12, 17, 21), rng.integers(2, 26, (5, 2)), strict=True):
        mask[z, y : y + 3, x : x + 4] = True
    return mask


def brain() -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[1:-1, 1:-1, 1:-1] = True
    return mask


CASES = [lesions(case) for case in range(3)]
MAPS = {
    "constant": lambda mask: np.full(SHAPE, 0.3),
    "constant above a half": lambda mask: np.full(SHAPE, 0.9),
    "whole brain": lambda mask: np.where(brain(), 0.97, 0.001),
    "whole brain, smooth": lambda mask: 0.02 + 0.9 * gaussian_filter(brain().astype(float), 3),
}


def scores_of(make, grid, detection="share:0.1") -> Scores:
    rule = Rule.parse(detection)
    maps = [make(mask).astype(np.float32) for mask in CASES]
    return Scores.of(
        [count_case(p, mask, grid, SPACING_MM, detection=rule) for p, mask in zip(maps, CASES, strict=True)], grid
    )


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_map_that_knows_no_lesion_wins_nothing_on_a_dense_grid(name, objective):
    objective, grid = Objective.parse(objective), make_grid("dense", min_voxels=[0])
    choice = choose(scores_of(MAPS[name], grid), objective)
    marked = above(MAPS[name](CASES[0]).astype(np.float32), choice.threshold)
    if objective.score in ("lesion_f1", "sensitivity", "pq"):
        assert (choice.score, choice.all_tied) == (0, True)
    elif objective.score == "dice":
        assert choice.score < 0.01
    else:
        assert not marked.any()
    # 0.1.0's rule, which is there for comparison
    if objective.score in ("lesion_f1", "sensitivity"):
        assert choose(scores_of(MAPS[name], grid, "overlap"), objective).score == 1


def noise(mask):
    return np.random.default_rng(0).uniform(size=SHAPE)


@pytest.mark.parametrize("name", [*MAPS, "noise"])
def test_the_command_rewards_no_map_that_knows_no_lesion(write_model, tmp_path, name, capsys):
    make = MAPS.get(name, noise)
    cases = {f"case_{i}": (mask, softmax_of(make(mask).astype(np.float32))) for i, mask in enumerate(CASES)}
    model = write_model({"0": cases})
    arguments = ["-ref", str(model.references), "-o", str(tmp_path / "out"), "-np", "1", "--min-voxels", "0"]
    assert main(["threshold", str(model.path), *arguments, "--objective", "lesion_f1", "sensitivity@2", "dice@2"]) == 0
    assert "1.0000" not in capsys.readouterr().out
    for file in ("operating_point", "operating_point_sensitivity@2", "operating_point_dice@2"):
        point = read_operating_point(tmp_path / "out" / f"{file}.json")
        choice = point.classes["lesion"].ensemble
        # by chance a few voxels of noise lie in lesions
        assert choice.score < 0.05 if name == "noise" else choice.score < 0.01
        row = next(r for r in point.classes["lesion"].table if r["threshold"] == choice.threshold)
        if "@2" in point.objective:
            assert row["false_positives_per_case"] <= 2
        if name != "noise" and point.objective != "dice@2":
            assert (choice.score, choice.all_tied) == (0, True)


@pytest.mark.parametrize("objective", ["lesion_f1", "sensitivity@2", "lesion_f1@2", "dice"])
def test_lesions_in_a_bright_brain_are_cut_out(objective):
    grid = make_grid("dense", min_voxels=[0])

    def make(mask):
        return np.where(mask, 0.999, np.where(brain(), 0.9, 0.001))

    choice = choose(scores_of(make, grid), Objective.parse(objective))
    assert choice.score == 1
    assert choice.threshold > 0.9


@pytest.mark.parametrize("detection", ["share:0.1", "share:0.5", "overlap", "picai", "msseg"])
def test_every_rule_finds_the_truth_and_filters(detection):
    grid = make_grid([0.4, 0.6], min_voxels=[0, 13])
    scores = scores_of(lambda mask: np.where(mask, 0.9, 0.1), grid, detection)
    assert scores.at(grid.cut(0, 0))["lesion_f1"] == 1
    assert scores.at(grid.cut(0, 1))["lesion_f1"] == 0  # all lesions are of twelve voxels
    assert scores.at(grid.cut(0, 1))["false_positives_per_case"] == 0


def test_a_halo_is_judged_by_each_rule():
    """A component of ten times the lesion's volume beside one that fits."""
    mask, probability = np.zeros((1, 30, 30), bool), np.full((1, 30, 30), 0.1, np.float32)
    mask[0, 3:5, 3:5] = mask[0, 20:24, 20:24] = True
    probability[0, 1:14, 1:14] = probability[0, 20:24, 20:23] = 0.9
    grid, found = make_grid([0.5], min_voxels=[0]), {}
    for detection in ("share:0.1", "share:0.01", "overlap", "picai", "msseg"):
        rule = Rule.parse(detection)
        counts = count_case(probability, mask, grid, (3.0, 1.0, 1.0), detection=rule)
        found[detection] = int(counts.detected[0, 0]), int(counts.false_positives[0, 0])
    assert found == {"share:0.1": (1, 1), "share:0.01": (2, 0), "overlap": (2, 0), "picai": (1, 1), "msseg": (1, 1)}


def test_the_rule_is_written_and_counted_anew(write_model, tmp_path):
    cases = {
        f"case_{i}": (mask, softmax_of(np.where(brain(), 0.97, 0.001).astype(np.float32)))
        for i, mask in enumerate(CASES)
    }
    model = write_model({"0": cases})
    options = {"objective": Objective("lesion_f1"), "grid": make_grid("dense", min_voxels=[0])}
    by_share = choose_operating_point(model, tmp_path / "share", **options)
    by_overlap = choose_operating_point(model, tmp_path / "overlap", detection=Rule("overlap"), **options)
    found = [(p.detection, p.classes["lesion"].ensemble.score) for p in (by_share, by_overlap)]
    assert found == [("share:0.1", 0), ("overlap", 1)]
