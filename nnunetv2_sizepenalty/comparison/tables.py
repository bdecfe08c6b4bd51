"""The thesis's tables for the models at hand, as text."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.comparison.pooled import ENDPOINTS, POOLED
from nnunetv2_sizepenalty.comparison.training import Training
from nnunetv2_sizepenalty.lesions import ML, SizeUnit
from nnunetv2_sizepenalty.pages.numbers import DASH, interval, number, p_value, plural, size_name
from nnunetv2_sizepenalty.pages.table import Cell, Table
from nnunetv2_sizepenalty.report.tables import heading

SMALLEST_METRICS = ("pq", "sq", "sq_matched", "rq", "dice")


def _mean_cell(row) -> Cell:
    """A mean with its interval, a dash where no case has a value."""
    return Cell(number(row.mean), interval(row.low, row.high))


def models_table(means: pd.DataFrame, trainings: Mapping[str, Sequence[Training]]) -> Table:
    """The thesis's tables 5.1 and 5.3: every model over all cases, with the mean of the fold means where there are
    folds and the epoch of the best checkpoint where results folders are given.

    Args:
        means: `means.means`.
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
    columns = (Cell("model"), Cell("cases"), *(heading(ENDPOINTS[metric]) for metric in metrics), *epoch)
    return Table("All models", "Means over the cases with 95 % bootstrap intervals.", columns, tuple(rows))


def repeat_table(repeats: pd.DataFrame) -> Table:
    """Every training by itself (`means.repeat_means`)."""
    metrics = list(repeats["metric"].unique())
    rows = []
    for (model, number_), group in repeats.groupby(["model", "repeat"], sort=False):
        rows.append((Cell(f"{model}, {number_}"), *(Cell(number(value)) for value in group["mean"])))
    columns = (Cell("repeat"), *(heading(ENDPOINTS[metric]) for metric in metrics))
    return Table("Every training by itself", "Means over all cases.", columns, tuple(rows))


def difference_table(differences: pd.DataFrame, title: str, *, by_size: bool = False) -> Table:
    """The thesis's table 5.2 with what each difference is worth; headed by size (or by model) where there are several.

    Args:
        differences: `scores.differences`.
    """
    undefined = differences[["baseline_undefined", "model_undefined"]].to_numpy().any()
    columns = [
        Cell("metric"),
        Cell("verdict"),
        Cell("baseline"),
        Cell("model"),
        Cell("difference", note="model minus baseline, over the cases where both are defined"),
        *P_COLUMNS,
        Cell("wins / ties / losses", note="cases"),
        *[Cell("undefined", note="cases that the prediction leaves undefined, baseline / model")] * int(undefined),
        Cell("could have shown", note="smallest mean difference that this test shows with 80 % power, corrected"),
        *_floor_columns(differences),
    ]
    rows: list[tuple[Cell, ...]] = []
    for (stratum, model), group in differences.groupby(["stratum", "model"], sort=False):
        size = f"{size_name(stratum)}, " if by_size else ""
        count = cases_and_patients(group["cases"].max(), group["patients"].max())
        rows.append((Cell(f"{size}{model} against {group['baseline'].iloc[0]}, {count}"),))
        for row in group.itertuples():
            pooled = row.metric in POOLED
            lost = f"{row.baseline_undefined} / {row.model_undefined}"
            title_cell = heading(ENDPOINTS[row.metric])
            rows.append(
                (
                    replace(title_cell, sub="primary, tested alone") if row.primary else title_cell,
                    Cell(row.verdict),
                    Cell(number(row.baseline_mean)),
                    Cell(number(row.model_mean)),
                    Cell(number(row.difference), interval(row.low, row.high)),
                    *_p_cells(row),
                    Cell(DASH if pooled else f"{row.wins} / {row.ties} / {row.losses}"),
                    *[Cell(lost)] * int(undefined),
                    Cell("nothing" if np.isinf(row.detectable) else number(row.detectable)),
                    *_floor_cells(differences, row),
                )
            )
    caption = f"{_tested(differences)} Intervals resample patients."
    if undefined:
        caption += (
            " Undefined through the prediction: the figures are those of the cases where both are defined; p and "
            "verdict hold with the worst value of either model in their place, too."
        )
    if not len(_floor_columns(differences)):
        caption += " No model has repeats, so there is no noise floor: a second training might turn the sign round."
    return Table(title, caption, tuple(columns), tuple(rows))


P_COLUMNS = (
    Cell("p", note="sign-flip permutation test, corrected by the smallest p over the table; alone below"),
    Cell("p (Holm)", note="the same test after Holm's correction"),
)


def _p_cells(row) -> tuple[Cell, Cell]:
    return Cell(p_value(row.p_corrected), f"alone {p_value(row.p)}"), Cell(p_value(row.p_holm))


def _floor_columns(differences: pd.DataFrame) -> tuple[Cell, ...]:
    """Two columns where a model has repeats."""
    if not differences["noise_floor"].notna().any():
        return ()
    return (
        Cell("noise floor", note="95 % of the differences that repeating the training makes are smaller"),
        Cell("p over repeats", note="trainings in place of patients, corrected by the maximum over the table"),
    )


def _floor_cells(differences: pd.DataFrame, row) -> tuple[Cell, ...]:
    return (Cell(number(row.noise_floor)), Cell(p_value(row.p_repeats))) if _floor_columns(differences) else ()


def _tested(differences: pd.DataFrame) -> str:
    """How a table was tested."""
    together = differences[~differences["primary"]] if "primary" in differences else differences
    tests = int(together["p"].notna().sum())
    return (
        "p of a permutation test in which each patient's models change places, corrected by the smallest p over the "
        f"{tests} figures of this table (Holm's correction beside it)."
    )


def cases_and_patients(cases: int, patients: int) -> str:
    """ "12 cases", or "12 cases of 4 patients" where these are fewer."""
    return plural(cases, "case") if cases == patients else f"{plural(cases, 'case')} of {plural(patients, 'patient')}"


def size_table(means: pd.DataFrame, unit: SizeUnit = ML) -> Table:
    """The thesis's table 5.4: every model in each stratum of the case's reference volume."""
    metrics = list(means["metric"].unique())
    rows = []
    for stratum, of_size in means[means["stratum"] != "all"].groupby("stratum", sort=False):
        rows.append((Cell(f"{size_name(stratum)}, {plural(int(of_size['cases'].iloc[0]), 'case')}"),))
        for model, group in of_size.groupby("model", sort=False):
            rows.append((Cell(model), *(_mean_cell(row) for row in group.itertuples())))
    columns = (Cell("model"), *(heading(ENDPOINTS[metric]) for metric in metrics))
    caption = "Means over the cases of each size with 95 % bootstrap intervals; a dash where there is none."
    return Table(f"By the case's reference {unit.quantity}", caption, columns, tuple(rows))


def smallest_table(means: pd.DataFrame, stratum: str) -> Table:
    """The thesis's table 5.5: the smallest stratum alone."""
    rows = []
    for model, group in means[means["stratum"] == stratum].groupby("model", sort=False):
        group = group.set_index("metric").loc[list(SMALLEST_METRICS)]
        cells = [_mean_cell(row) for row in group.itertuples()]
        rows.append((Cell(model), Cell(f"{group['cases'].iloc[0]:,}"), *cells))
    columns = (Cell("model"), Cell("cases"), *(heading(ENDPOINTS[metric]) for metric in SMALLEST_METRICS))
    return Table(f"Cases {size_name(stratum)}", "Means over these cases.", columns, tuple(rows))


def lesion_size_table(sizes: pd.DataFrame, unit: SizeUnit = ML) -> Table:
    """Lesions found by the lesion's own volume (`lesion_sizes.lesion_sizes`)."""
    compared = sizes[sizes["model"] != sizes["baseline"]]
    rows: list[tuple[Cell, ...]] = []
    for stratum, of_size in sizes.groupby("stratum", sort=False):
        rows.append((Cell(f"{size_name(stratum)}, {plural(int(of_size['lesions'].iloc[0]), 'lesion')}"),))
        for row in of_size.itertuples():
            cells = [Cell(row.model), Cell(row.verdict), Cell(f"{row.missed:.4g}"), Cell(number(row.detection_rate))]
            if row.model == row.baseline:
                cells += [Cell("")] * (3 + len(_floor_columns(compared)))
            else:
                cells += [Cell(number(row.difference), interval(row.low, row.high)), *_p_cells(row)]
                cells += _floor_cells(compared, row)
            rows.append(tuple(cells))
    columns = (
        *map(Cell, ("model", "verdict", "missed", "detection rate ↑", "difference")),
        *P_COLUMNS,
        *_floor_columns(compared),
    )
    caption = (
        f"Lesions of one size of all cases. {_tested(compared)} Intervals resample patients with all their lesions."
    )
    return Table(f"Lesions found by their own {unit.quantity}", caption, columns, tuple(rows))
