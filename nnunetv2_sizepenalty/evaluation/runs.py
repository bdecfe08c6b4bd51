"""Several evaluations of one model, folds and repeats, brought together."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.errors import UserError

KEYS = ["case", "label"]


def repeats_of(runs: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """Sorts the runs of one model into repeats that each hold every case once.

    Runs of the same cases are repeats of each other, runs of disjoint cases are folds; repeat i takes the i-th run of
    every fold.

    Args:
        runs: cases.csv of each evaluation.

    Raises:
        UserError: two runs share some of their cases only, or the folds have different numbers of repeats.
    """
    folds: list[tuple[set[str], list[pd.DataFrame]]] = []
    for run in runs:
        cases = set(run["case"])
        for fold, members in folds:
            if fold == cases:
                members.append(run)
                break
            if fold & cases:
                raise UserError(
                    f"two evaluations of one model share {len(fold & cases)} cases and differ in others (such as "
                    f"{min(fold ^ cases)}): folds share none, repeats all"
                )
        else:
            folds.append((cases, [run]))
    numbers = {len(members) for _, members in folds}
    if len(numbers) > 1:
        raise UserError(
            f"the folds of one model have {' and '.join(map(str, sorted(numbers)))} repeats; give all alike"
        )
    return [
        pd.concat([members[i] for _, members in folds], ignore_index=True).sort_values(KEYS, ignore_index=True)
        for i in range(numbers.pop())
    ]


def mean_over_repeats(repeats: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Averages each case's metrics over the repeats in which they are defined; rows and columns as in a repeat."""
    if len(repeats) == 1:
        return repeats[0]
    mean = pd.concat(repeats).groupby(KEYS, sort=False).mean(numeric_only=True).reset_index()
    return mean[repeats[0].columns]


def mean_of_fold_means(runs: Sequence[pd.DataFrame], metric: str, label: str) -> float:
    """Computes the mean over the runs of each run's mean of a metric.

    The thesis's tables are close to it and to the mean over cases, and equal to neither.
    """
    means = [run.loc[run["label"] == label, metric].mean() for run in runs]
    return float(np.nanmean(means)) if np.isfinite(means).any() else float("nan")
