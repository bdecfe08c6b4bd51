"""Evaluates two folders of masks."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from nnunetv2_sizepenalty import __version__
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation.frames import find_oversized_of, make_tables, summarise_label
from nnunetv2_sizepenalty.evaluation.lesion_ids import check_labels
from nnunetv2_sizepenalty.evaluation.masks import mask_reader
from nnunetv2_sizepenalty.evaluation.protocols import PROTOCOLS, Protocol
from nnunetv2_sizepenalty.evaluation.records import Evaluation
from nnunetv2_sizepenalty.evaluation.score_files import Pair, ScoringSetup, score_pair
from nnunetv2_sizepenalty.evaluation.summary import Summary
from nnunetv2_sizepenalty.lesions import ML, PX, SizeBins, SizeUnit
from nnunetv2_sizepenalty.nnunet_io.classes import Labels, read_labels
from nnunetv2_sizepenalty.nnunet_io.dataset import read_dataset_json
from nnunetv2_sizepenalty.nnunet_io.prediction_folder import sign_of_predictions
from nnunetv2_sizepenalty.parallel import map_cases


def evaluate_folder(
    reference_folder: str | Path,
    prediction_folder: str | Path,
    *,
    dataset_json: str | Path | None = None,
    protocol: Protocol | str = "default",
    bins_ml: Sequence[float] | None = None,
    bins_px: Sequence[float] | None = None,
    groups: str | Path | None = None,
    allow_missing: bool = False,
    only_predicted: bool = False,
    processes: int = 1,
    check_cases: Callable[[Sequence[str]], None] | None = None,
) -> Evaluation:
    """Pairs the masks of two folders by name and computes every table (docs/evaluation.md holds the definitions).

    Args:
        reference_folder, prediction_folder: masks of one ending each; files that are no masks are passed over.
        dataset_json: nnU-Net's, for labels, regions, ending and reader; without it all above 0 is one label.
        protocol: a name of `PROTOCOLS` or rules of one's own.
        bins_ml, bins_px: edges of the size strata, the second where the references have no spacing (PNG); by default
            the usual ones.
        groups: CSV with a column `case` and columns to group by.
        allow_missing: a missing prediction is scored as empty.
        only_predicted: references without a prediction are left out.
        processes: worker processes; memory grows with them, not with the number of cases.
        check_cases: is given the cases before any of them is scored, to refuse them.

    Raises:
        UserError: predictions are missing, or files can't be read or lie on another grid than their reference (all of
            them are listed); the reference folder holds predictions, or is the prediction folder.
    """
    protocol = PROTOCOLS[protocol] if isinstance(protocol, str) else protocol
    content = read_dataset_json(dataset_json) if dataset_json is not None else None
    labels = read_labels(content) if content else Labels()
    check_labels(labels, protocol.instances)
    reference_reader, references = mask_reader(reference_folder, content)
    bins = size_bins(reference_reader.unit, bins_ml, bins_px)
    prediction_reader, predictions = mask_reader(prediction_folder, content)
    refuse_as_reference(Path(reference_folder), references, predictions)
    pairs = pair_cases(references, predictions, allow_missing=allow_missing, only_predicted=only_predicted)
    if check_cases is not None:
        check_cases([pair.case for pair in pairs])
    group_values = read_groups(groups, [pair.case for pair in pairs]) if groups is not None else {}

    setup = ScoringSetup(reference_reader, prediction_reader, labels, protocol)
    scores, problems = [], []
    outcomes = map_cases(partial(score_pair, setup), pairs, processes=processes, description="evaluating")
    for pair, outcome in zip(pairs, outcomes, strict=True):
        if isinstance(outcome, str):
            problems.append(outcome)
        else:
            scores.append((pair.case, *outcome))
    if problems:
        raise UserError(
            listed(f"{len(problems)} of {len(pairs)} cases can't be compared, nothing was written", problems)
        )
    cases, lesions = make_tables(scores, labels)
    summary = Summary(
        version=__version__,
        reference_folder=str(reference_folder),
        prediction_folder=str(prediction_folder),
        protocol=protocol.name,
        description=protocol.described(bins.unit),
        settings=dataclasses.asdict(protocol),
        edges=bins.edges,
        cases=len(pairs),
        missing=tuple(pair.case for pair in pairs if pair.prediction is None),
        without_reference=tuple(sorted(set(predictions) - set(references))),
        groups=group_values,
        ignore=() if labels.ignore is None else (labels.ignore,),
        labels={
            label.name: summarise_label(cases, lesions, label.name, label.values, bins, group_values, oversized)
            for label, oversized in zip(labels.foreground, find_oversized_of(scores), strict=True)
        },
        unit=bins.unit,
    )
    return Evaluation(cases, lesions, summary)


def size_bins(unit: SizeUnit, edges_ml: Sequence[float] | None, edges_px: Sequence[float] | None) -> SizeBins:
    """Makes the bins of those edges that are in `unit`, the usual ones without any.

    Raises:
        UserError: the edges are no bins, or only those of the other unit are given.
    """
    given = {ML: edges_ml, PX: edges_px}
    other = next(of for of in given if of != unit)
    if given[unit] is None and given[other] is not None:
        has = "no spacing" if unit == PX else "a spacing"
        usual = " ".join(f"{edge:g}" for edge in unit.edges)
        raise UserError(
            f"--bins-{other.key}: the references have {has}, so sizes are in {unit} here; give --bins-{unit.key} "
            f"instead, such as --bins-{unit.key} {usual}"
        )
    edges = unit.edges if given[unit] is None else given[unit]
    try:
        return SizeBins(tuple(map(float, edges)), unit)
    except ValueError as error:
        raise UserError(f"size bins: {error}") from None


def refuse_as_reference(folder: Path, references: dict[str, Path], predictions: dict[str, Path]) -> None:
    """Ends with a UserError where the references are the predictions themselves, or predictions of nnU-Net."""
    same = [
        case for case in references if case in predictions and references[case].resolve() == predictions[case].resolve()
    ]
    if same:
        raise UserError(f"{references[same[0]]} is reference and prediction at once; name two folders of masks")
    if sign := sign_of_predictions(folder, references):
        raise UserError(
            f"{folder}: holds predictions of nnU-Net ({sign}); name a folder of references with -ref (copy the masks "
            "alone to another folder if they are to be the reference)"
        )


def pair_cases(
    references: dict[str, Path], predictions: dict[str, Path], *, allow_missing: bool, only_predicted: bool
) -> list[Pair]:
    """The cases to score, in the order of their names."""
    missing = [case for case in references if case not in predictions]
    if missing and not (allow_missing or only_predicted):
        raise UserError(
            listed(
                f"{len(missing)} of {len(references)} references have no prediction of that name "
                "(--allow-missing scores them as empty, --only-predicted leaves them out)",
                missing,
            )
        )
    names = [case for case in references if not (only_predicted and case in missing)]
    if not names:
        raise UserError("no prediction has the name of a reference; check the two folders")
    return [Pair(case, references[case], predictions.get(case)) for case in names]


def read_groups(path: str | Path, cases: Sequence[str]) -> dict[str, dict[str, str]]:
    """column -> case -> value of a CSV with a column `case`; every case needs a row."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as CSV ({error}); give a CSV with a column case") from None
    if "case" not in table or len(table.columns) < 2:
        raise UserError(f"{path}: has columns {', '.join(table.columns)}; it needs case and a column to group by")
    if table["case"].duplicated().any():
        raise UserError(f"{path}: {table['case'][table['case'].duplicated()].iloc[0]} has several rows; keep one")
    table = table.set_index("case")
    absent = [case for case in cases if case not in table.index]
    if absent:
        raise UserError(f"{path}: no row for {some_of(absent)}; add them")
    return {column: table.loc[list(cases), column].to_dict() for column in table.columns}


def some_of(cases: Sequence[str], named: int = 5) -> str:
    """Names cases within a line.

    >>> some_of(["a", "b", "c"], named=2)
    'a, b and 1 more'
    """
    more = f" and {len(cases) - named} more" if len(cases) > named else ""
    return ", ".join(cases[:named]) + more


def listed(message: str, items: Sequence[str]) -> str:
    """A message and the items that it is about, a line each."""
    return "\n  ".join([f"{message}:", *items])
