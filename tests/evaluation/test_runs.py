import numpy as np
import pandas as pd
import pytest

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation.runs import mean_of_fold_means, mean_over_repeats, repeats_of


def run(**dice):
    return pd.DataFrame({"case": list(dice), "label": "x", "dice": list(dice.values())})


def test_folds_are_joined_and_repeats_kept_apart():
    runs = [run(a=0.1, b=0.2), run(c=0.3), run(b=0.6, a=0.5), run(c=0.7)]
    repeats = repeats_of(runs)
    assert [repeat["case"].tolist() for repeat in repeats] == [["a", "b", "c"]] * 2
    assert [repeat["dice"].tolist() for repeat in repeats] == [[0.1, 0.2, 0.3], [0.5, 0.6, 0.7]]
    mean = mean_over_repeats(repeats)
    assert mean.columns.tolist() == ["case", "label", "dice"]
    np.testing.assert_allclose(mean["dice"], [0.3, 0.4, 0.5])
    assert mean_over_repeats(repeats[:1]) is repeats[0]


def test_a_case_is_averaged_over_the_repeats_that_define_it():
    mean = mean_over_repeats(repeats_of([run(a=np.nan, b=np.nan), run(a=0.5, b=np.nan)]))
    assert mean["dice"].iloc[0] == 0.5
    assert np.isnan(mean["dice"].iloc[1])


@pytest.mark.parametrize(
    ("runs", "says"),
    [
        ([run(a=1, b=1), run(b=1, c=1)], "share 1 cases"),
        ([run(a=1), run(b=1), run(a=1)], "1 and 2 repeats"),
    ],
)
def test_runs_that_fit_neither(runs, says):
    with pytest.raises(UserError, match=says):
        repeats_of(runs)


def test_mean_of_fold_means_is_not_the_mean_over_cases():
    folds = [run(a=0.0, b=0.0, c=0.3), run(d=0.9), run(e=np.nan)]
    assert mean_of_fold_means(folds, "dice", "x") == pytest.approx((0.1 + 0.9) / 2)
    assert np.isnan(mean_of_fold_means([run(a=np.nan)], "dice", "x"))
