"""Means, differences with what they are worth, and missed lesions by size."""

import numpy as np
import pytest
from made_evaluations import make_evaluation, make_model

from nnunetv2_sizepenalty.comparison import tables, words
from nnunetv2_sizepenalty.comparison.charts import relative_improvement, repeats_chart
from nnunetv2_sizepenalty.comparison.lesion_sizes import lesion_sizes
from nnunetv2_sizepenalty.comparison.means import means, repeat_means
from nnunetv2_sizepenalty.comparison.scores import differences
from nnunetv2_sizepenalty.comparison.setting import Setting
from nnunetv2_sizepenalty.lesions import SizeBins

SETTING = Setting("lesion", SizeBins())
CASES = [f"case_{i:02d}" for i in range(40)]
RNG = np.random.default_rng(0)
DICE = RNG.uniform(0.4, 0.8, 40)
VOLUME = np.repeat([0.5, 2.0, 20.0, 0.0], 10)


def model(name, gain=0.0, spread=0.02, seed=1, **columns):
    noise = np.random.default_rng(seed).normal(0, spread, 40)
    dice = np.where(VOLUME > 0, DICE + gain + noise, np.nan)
    return make_model(name, make_evaluation(CASES, dice=dice, reference_ml=VOLUME, **columns))


def row(frame, **where):
    for column, value in where.items():
        frame = frame[frame[column] == value]
    (one,) = frame.itertuples()
    return one


def test_means_by_stratum():
    table = means([model("A")], SETTING, ["dice"])
    small = row(table, stratum="< 1 mL")
    assert (small.cases, small.n) == (10, 10)
    assert small.low < small.mean < small.high
    assert row(table, stratum="all").n == 30, "Dice is undefined in the lesion-free cases"
    assert np.isnan(row(table, stratum="none").mean)
    assert np.isnan(row(table, stratum="all").mean_of_fold_means)


def test_mean_of_fold_means_stands_beside_the_mean():
    folds = make_evaluation(CASES[:30], dice=0.4), make_evaluation(CASES[30:], dice=0.8)
    table = means([make_model("A", *folds)], SETTING, ["dice"])
    assert row(table, stratum="all").mean == pytest.approx(0.5)
    assert row(table, stratum="all").mean_of_fold_means == pytest.approx(0.6)
    text = tables.models_table(table, {})
    assert [cells[0].text for cells in text.rows] == ["A", "A, mean of fold means"]
    assert text.rows[1][2].text == "0.600"


@pytest.mark.parametrize(
    ("gain", "verdict"), [(0.1, "better"), (-0.1, "worse"), (0.0, "can't tell")], ids=["gain", "loss", "none"]
)
def test_verdict_follows_the_difference(gain, verdict):
    table = differences([model("A"), model("B", gain, seed=2)], SETTING, ["all"], ["dice"])
    assert row(table, metric="dice").verdict == verdict
    assert row(table, metric="dice").difference == pytest.approx(gain, abs=0.02)


def test_direction_of_the_metric_counts():
    columns = {"missed": np.r_[np.ones(20), np.zeros(20)]}
    table = differences([model("A"), model("B", **columns)], SETTING, ["all"], ["missed"])
    assert row(table, metric="missed").verdict == "worse"
    assert (row(table, metric="missed").wins, row(table, metric="missed").losses) == (0, 20)


def test_holm_counts_every_test_of_the_table():
    models = [model("A"), model("B", 0.008, seed=2), model("C", 0.0, seed=3)]
    alone = differences(models[:2], SETTING, ["all"], ["dice"])
    together = differences(models, SETTING, ["all", "< 1 mL", "1-5 mL"], ["dice"])
    assert together["p"].notna().sum() == 6
    assert row(together, model="B", stratum="all").p == row(alone, model="B").p
    assert row(together, model="B", stratum="all").p_holm > row(alone, model="B").p_holm


def test_a_difference_within_the_noise_floor_can_not_be_told():
    def repeated(name, gains, seed):
        runs = [make_evaluation(CASES, dice=DICE + gain, reference_ml=2.0) for gain in gains]
        return make_model(name, *runs)

    models = [repeated("A", (0.0, 0.06), 1), repeated("B", (0.05, 0.05), 2)]
    (one,) = differences(models, SETTING, ["all"], ["dice"]).itertuples()
    assert one.difference == pytest.approx(0.02)
    assert one.p_holm < 0.001
    assert one.noise_floor > 0.02
    assert one.verdict == "can't tell"
    (no_repeats,) = differences(
        [make_model("A", models[0].runs[0]), models[1]], SETTING, ["all"], ["dice"]
    ).itertuples()
    assert no_repeats.verdict == "better"


def test_missed_lesions_by_their_own_size():
    missed = np.where(VOLUME == 0.5, 1.0, 0.0)
    table = lesion_sizes([model("A"), model("B", missed=missed)], SETTING)
    small = row(table, model="B", stratum="< 1 mL")
    assert (small.lesions, small.missed, small.detection_rate, small.verdict) == (10, 10, 0, "worse")
    large = row(table, model="B", stratum=">= 5 mL")
    assert (large.lesions, large.missed, large.verdict) == (10, 0, "can't tell")
    assert row(table, model="A", stratum="< 1 mL").verdict == ""
    assert row(table, model="B", stratum="all").lesions == 30


def test_missed_lesions_are_averaged_over_repeats():
    runs = [make_evaluation(CASES, missed=np.r_[np.ones(n), np.zeros(40 - n)]) for n in (4, 8)]
    table = lesion_sizes([model("A"), make_model("B", *runs)], SETTING)
    one = row(table, model="B", stratum="1-5 mL")
    assert (one.lesions, one.missed) == (40, 6)


def test_relative_improvement_is_positive_where_the_model_is_better():
    columns = {"rve": 0.5}, {"rve": 0.4 + RNG.normal(0, 0.01, 40)}
    table = differences(
        [model("A", **columns[0]), model("B", 0.06, seed=2, **columns[1])], SETTING, ["all"], ["dice", "rve", "missed"]
    )
    improvement = relative_improvement(table).set_index("metric")
    assert list(improvement.index) == ["dice", "rve"], "nothing can be set in relation to a mean of 0"
    assert improvement.loc["rve", "improvement"] == pytest.approx(0.2, abs=0.02)
    assert (improvement["worst"] < improvement["improvement"]).all()
    assert (improvement["improvement"] < improvement["best"]).all()


@pytest.mark.parametrize(
    ("gain", "text"),
    [
        (0.1, "B is better than A in 1 of 2 metrics."),
        (-0.1, "B is worse than A in 1 of 2 metrics."),
        (0.0, "B against A: can't tell."),
    ],
)
def test_headline(gain, text):
    table = differences([model("A"), model("B", gain, seed=2)], SETTING, ["all"], ["dice", "missed"])
    assert words.headline(table, methods=True) == text
    few = text if "tell" in text else f"Of these two trained models, {text}"
    assert words.headline(table) == few


def test_sentence_says_can_not_tell_in_those_words():
    table = differences([model("A"), model("B", 0.1)], SETTING, ["all"], ["dice", "missed", "rve"])
    assert words.sentences(table) == ["B against A: better in Dice; can't tell in missed and RVE."]


def test_difference_table_says_when_there_is_no_noise_floor():
    table = differences([model("A"), model("B", 0.1)], SETTING, ["all"], ["dice"])
    text = tables.difference_table(table, "Differences")
    assert "no noise floor" in text.caption
    assert "noise floor" not in [column.text for column in text.columns]
    assert text.rows[1][1].text == "better"


def test_empty_stratum_is_a_dash():
    cases = [make_model(name, make_evaluation(CASES, reference_ml=2.0)) for name in "AB"]
    text = tables.size_table(means(cases, SETTING))
    position = next(i for i, cells in enumerate(text.rows) if cells[0].text == "≥ 5 mL, 0 cases")
    assert {cell.text for cell in text.rows[position + 1][1:]} == {"–"}


def test_repeats_are_shown_one_by_one():
    runs = [make_evaluation(CASES, dice=dice, missed=missed) for dice, missed in ((0.4, 0), (0.8, 1))]
    table = repeat_means([make_model("A", *runs)], SETTING, ["dice", "lesion_sensitivity"])
    assert table["mean"].tolist() == pytest.approx([0.4, 1, 0.8, 0])
    text = tables.repeat_table(table)
    assert [[cell.text for cell in cells] for cells in text.rows] == [["A, 1", "0.400", "1.00"], ["A, 2", "0.800", "0"]]
    assert len(repeats_chart(table, "dice").to_dict()["datasets"]) == 1


def test_a_model_that_fails_on_hard_cases_is_not_compared_on_the_easy_ones():
    """ASSD of 30 lesions: the model is a little better wherever it predicts at all, and predicts nothing in ten."""
    distance = RNG.uniform(1, 9, 40)
    better = np.where(np.arange(40) % 4 == 0, np.nan, distance - RNG.uniform(0.05, 0.15, 40))
    columns = {"reference_ml": 2.0}
    models = [
        make_model("A", make_evaluation(CASES, assd=distance, **columns)),
        make_model("B", make_evaluation(CASES, assd=better, **columns)),
    ]
    (one,) = differences(models, SETTING, ["all"], ["assd"]).itertuples()
    assert (one.baseline_undefined, one.model_undefined, one.cases) == (0, 10, 30)
    assert one.difference < 0
    assert one.verdict == "can't tell"
    survivors = [
        make_model(name, make_evaluation(CASES[:30], assd=values[~np.isnan(better)], **columns))
        for name, values in (("A", distance), ("B", better))
    ]
    (alone,) = differences(survivors, SETTING, ["all"], ["assd"]).itertuples()
    assert alone.verdict == "better"


def test_shared_seeds_make_pairs_of_repeats():
    levels, gains = (0.0, 0.1, 0.2), (0.05, 0.052, 0.048)
    runs = [
        [make_evaluation(CASES, dice=DICE + level + gain) for level, gain in zip(levels, of, strict=True)]
        for of in ((0, 0, 0), gains)
    ]
    models = [make_model(name, *of) for name, of in zip("AB", runs, strict=True)]
    shared = Setting("lesion", SizeBins(), shared_seeds=True)
    (paired,) = differences(models, shared, ["all"], ["dice"]).itertuples()
    (unpaired,) = differences(models, SETTING, ["all"], ["dice"]).itertuples()
    assert paired.noise_floor == pytest.approx(4.302653 * 0.002 / np.sqrt(3), rel=1e-6)
    assert (paired.verdict, unpaired.verdict) == ("better", "can't tell")


def test_patients_are_counted():
    """Forty scans of four patients, all better."""
    patients = {case: f"patient {i % 4}" for i, case in enumerate(CASES)}
    setting = Setting("lesion", SizeBins(), patients, primary="dice")
    (one,) = differences([model("A"), model("B", 0.1, seed=2)], setting, ["all"], ["dice"]).itertuples()
    assert (one.cases, one.patients, one.p, one.verdict) == (30, 4, 0.125, "can't tell")
    text = tables.difference_table(differences([model("A"), model("B")], setting, ["all"], ["dice"]), "Differences")
    assert text.rows[0][0].text == "B against A, 30 cases of 4 patients"
    assert text.rows[1][0].sub == "primary, tested alone"


@pytest.mark.parametrize(
    ("patients", "words_"),
    [
        (1, "1 patient can show nothing"),
        (5, "5 patients can show nothing: a model that is better in each of them has p = 0.062"),
        (6, "6 patients can show only what is better in all 6 of them, p = 0.031: a primary endpoint"),
        (7, "7 patients can show no p below 0.016, however much the models differ, and would miss"),
        (40, "40 patients would miss a difference in Dice below 0.0"),
    ],
)
def test_what_few_patients_can_never_show(patients, words_):
    table = differences([model("A"), model("B", 0.1, seed=2)], SETTING, ["all"], ["dice"])
    assert words.limits(patients, table).startswith(words_)


def test_below_three_repeats_nothing_is_said_of_methods():
    one = model("A")
    three = make_model("B", *(model("B", seed=seed).runs[0] for seed in (1, 2, 3)))
    assert "these two trained models, never about methods" in words.scope([one, three], shared_seeds=False)
    assert "these 3 trained models" in words.scope([one, three, one], shared_seeds=False)
    assert words.scope([three, three], shared_seeds=True).startswith("3 repeats of each model; their seeds are shared")
    assert words.of_methods([three, three]) and not words.of_methods([one, three])
