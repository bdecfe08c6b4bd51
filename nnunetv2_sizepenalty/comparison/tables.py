"""The thesis's tables for the models at hand, as text."""

from collections.abc import Mapping, Sequence

import pandas as pd

from nnunetv2_sizepenalty.comparison.training import Training
from nnunetv2_sizepenalty.lesions import ML, SizeUnit
from nnunetv2_sizepenalty.pages.numbers import DASH, interval, number, p_value, size_name
from nnunetv2_sizepenalty.pages.table import Cell, Table
from nnunetv2_sizepenalty.report.tables import metric_heading

SMALLEST_METRICS = ("pq", "sq", "sq_matched", "rq", "dice")


def _mean_cell(row) -> Cell:
    """A mean with its interval, a dash where no case has a value."""
    return Cell(number(row.mean), interval(row.low, row.high))


def models_table(means: pd.DataFrame, trainings: Mapping[str, Sequence[Training]]) -> Table:
    """The thesis's tables 5.1 and 5.3: every model over all cases, with the mean of the fold means where there are
    folds and the epoch of the best checkpoint where results folders are given.

    Args:
        means: `scores.means`.
    """
    means = means[means["stratum"] == "all"]
    metrics = list(means["metric"].unique())
    rows = []
    for model, group in means.groupby("model", sort=False):
        folds = trainings.get(model)
        epochs = ", ".join(str(fold.best_epoch) for fold in folds) if folds else DASH
        cells = [_mean_cell(row) for row in group.itertuples()]
        rows.append((Cell(model), Cell(f"{group['cases'].iloc[0]:,}"), *cells, *[Cell(epochs)] * bool(trainings)))
        if group["mean_of_fold_means"].notna().any():
            fold_means = [Cell(number(value)) for value in group["mean_of_fold_means"]]
            rows.append((Cell(f"{model}, mean of fold means"), Cell(""), *fold_means, *[Cell("")] * bool(trainings)))
    epoch = [Cell("epoch", note="of the best checkpoint, counted from 0; one per fold")] if trainings else []
    columns = (Cell("model"), Cell("cases"), *map(metric_heading, metrics), *epoch)
    return Table("All models", "Means over the cases with 95 % bootstrap intervals.", columns, tuple(rows))


def difference_table(differences: pd.DataFrame, title: str, *, by_size: bool = False) -> Table:
    """The thesis's table 5.2 with what each difference is worth; headed by size (or by model) where there are several.

    Args:
        differences: `scores.differences`.
    """
    has_floor = int(differences["noise_floor"].notna().any())
    columns = [
        Cell("metric"),
        Cell("baseline"),
        Cell("model"),
        Cell("difference", note="model minus baseline, mean over the cases where both are defined"),
        Cell("p", note=f"Wilcoxon signed-rank, Holm over the {differences['p'].notna().sum()} tests of this table"),
        Cell("wins / ties / losses", note="cases"),
        Cell("could have shown", note="smallest mean difference that these cases show with 80 % power at 5 %"),
        *(
            [Cell("noise floor", note="95 % of the differences that repeating the training makes are smaller")]
            * has_floor
        ),
        Cell("verdict"),
    ]
    rows: list[tuple[Cell, ...]] = []
    for (stratum, model), group in differences.groupby(["stratum", "model"], sort=False):
        size = f"{size_name(stratum)}, " if by_size else ""
        rows.append((Cell(f"{size}{model} against {group['baseline'].iloc[0]}, {group['cases'].max()} cases"),))
        for row in group.itertuples():
            rows.append(
                (
                    metric_heading(row.metric),
                    Cell(number(row.baseline_mean)),
                    Cell(number(row.model_mean)),
                    Cell(number(row.difference), interval(row.low, row.high)),
                    Cell(p_value(row.p_holm)),
                    Cell(f"{row.wins} / {row.ties} / {row.losses}"),
                    Cell(number(row.detectable)),
                    *[Cell(number(row.noise_floor))] * has_floor,
                    Cell(row.verdict),
                )
            )
    tests = int(differences["p"].notna().sum())
    caption = f"Paired by case; p of Wilcoxon's signed-rank test, Holm over the {tests} tests of this table."
    if not has_floor:
        caption += " No model has repeats, so there is no noise floor: a second training might turn the sign round."
    return Table(title, caption, tuple(columns), tuple(rows))


def size_table(means: pd.DataFrame, unit: SizeUnit = ML) -> Table:
    """The thesis's table 5.4: every model in each stratum of the case's reference volume."""
    metrics = list(means["metric"].unique())
    rows = []
    for stratum, of_size in means[means["stratum"] != "all"].groupby("stratum", sort=False):
        rows.append((Cell(f"{size_name(stratum)}, {of_size['cases'].iloc[0]} cases"),))
        for model, group in of_size.groupby("model", sort=False):
            rows.append((Cell(model), *(_mean_cell(row) for row in group.itertuples())))
    columns = (Cell("model"), *map(metric_heading, metrics))
    caption = "Means over the cases of each size with 95 % bootstrap intervals; a dash where there is none."
    return Table(f"By the case's reference {unit.quantity}", caption, columns, tuple(rows))


def smallest_table(means: pd.DataFrame, stratum: str) -> Table:
    """The thesis's table 5.5: the smallest stratum alone."""
    rows = []
    for model, group in means[means["stratum"] == stratum].groupby("model", sort=False):
        group = group.set_index("metric").loc[list(SMALLEST_METRICS)]
        cells = [_mean_cell(row) for row in group.itertuples()]
        rows.append((Cell(model), Cell(f"{group['cases'].iloc[0]:,}"), *cells))
    columns = (Cell("model"), Cell("cases"), *map(metric_heading, SMALLEST_METRICS))
    return Table(f"Cases {size_name(stratum)}", "Means over these cases.", columns, tuple(rows))


def lesion_size_table(sizes: pd.DataFrame, unit: SizeUnit = ML) -> Table:
    """Missed lesions by the lesion's own volume (`scores.lesion_sizes`)."""
    rows: list[tuple[Cell, ...]] = []
    for stratum, of_size in sizes.groupby("stratum", sort=False):
        rows.append((Cell(f"{size_name(stratum)}, {of_size['lesions'].iloc[0]:g} lesions"),))
        for row in of_size.itertuples():
            is_baseline = row.model == row.baseline
            difference = Cell("") if is_baseline else Cell(number(row.difference), interval(row.low, row.high))
            rows.append(
                (
                    Cell(row.model),
                    Cell(f"{row.missed:.4g}"),
                    Cell(number(row.detection_rate)),
                    difference,
                    Cell("" if is_baseline else p_value(row.p_holm)),
                    Cell(row.verdict),
                )
            )
    columns = ("model", "missed", "detection rate ↑", "missed per case, difference", "p", "verdict")
    caption = (
        "Lesions of one size of all cases. Missed lesions per case are compared with the baseline case by case; p of "
        f"Wilcoxon's signed-rank test, Holm over the {int((sizes['verdict'] != '').sum())} tests of this table."
    )
    return Table(f"Missed lesions by their own {unit.quantity}", caption, tuple(map(Cell, columns)), tuple(rows))
