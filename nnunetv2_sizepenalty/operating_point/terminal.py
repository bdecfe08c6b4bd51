"""What the commands print: the choice, its worth, warnings, and what to type next."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from nnunetv2_sizepenalty.evaluation.protocols import Rule
from nnunetv2_sizepenalty.nnunet_io.file_names import FINAL
from nnunetv2_sizepenalty.nnunet_io.folders import RESULTS, nnunet_folder
from nnunetv2_sizepenalty.nnunet_io.model_folder import ModelFolder, missing_for_export
from nnunetv2_sizepenalty.nnunet_io.probabilities import VALIDATION_STEP
from nnunetv2_sizepenalty.operating_point.choose import Choice, CrossFit
from nnunetv2_sizepenalty.operating_point.grid import ThresholdGrid
from nnunetv2_sizepenalty.operating_point.objective import Objective
from nnunetv2_sizepenalty.operating_point.point import ENSEMBLE, ClassPoint, OperatingPoint
from nnunetv2_sizepenalty.pages.numbers import threshold


def print_points(points: Sequence[OperatingPoint]) -> None:
    """Prints the first objective's point whole, and of the others what is chosen for all folds together."""
    console = Console(soft_wrap=True)
    first, *others = points
    print_point(first)
    if not others:
        return
    table = Table("class", "objective", "threshold", f"smallest ({first.candidates.unit})", "score", "at 0.5", "file")
    for point in others:
        for name, chosen in point.classes.items():
            choice = chosen.ensemble
            scores = _number(choice.score), _number(choice.score_at_half)
            cut = f"{threshold(choice.threshold)}{_run(choice)}", _size(choice.min_size)
            table.add_row(name, point.objective, *cut, *scores, point.path.name)
    console.print("other objectives, all folds together; apply and bake take their files, too:")
    console.print(table)
    for point in others:
        for name, chosen in point.classes.items():
            for warning in choice_warnings(name, chosen, point.candidates):
                console.print(f"WARNING: {point.objective}: {warning}", style="bold red")


def print_point(point: OperatingPoint) -> None:
    """Prints the choice per class and fold, the cross-fitted gain, and a warning for each choice at an edge."""
    console = Console(soft_wrap=True)
    if Objective.parse(point.objective).counts_lesions:
        console.print(f"a lesion is found by: {Rule.parse(point.detection)} (--detection {point.detection})")
    for name, chosen in point.classes.items():
        headings = (
            "fold",
            "threshold (within 1 SE)",
            f"smallest ({point.candidates.unit})",
            point.objective,
            "at 0.5",
            "nnU-Net's",
        )
        table = Table(*headings, title=name)
        for fold, choice in chosen.choices.items():
            values = (choice.score, choice.score_at_half, choice.score_nnunet)
            table.add_row(
                fold, f"{threshold(choice.threshold)}{_run(choice)}", _size(choice.min_size), *map(_number, values)
            )
        console.print(table)
        if chosen.cross_fit:
            _print_cross_fit(console, chosen.cross_fit, point.objective)
        calibration = chosen.calibration
        console.print(
            f"average precision {_number(calibration.average_precision)}, calibration error within "
            f"{calibration.neighbourhood_mm:g} mm of a lesion {_number(calibration.expected_calibration_error)}"
        )
        for warning in choice_warnings(name, chosen, point.candidates):
            console.print(f"WARNING: {warning}", style="bold red")
    file, folder = shlex.quote(str(point.path)), shlex.quote(point.model.folder)
    another_step = point.source.step_size != VALIDATION_STEP
    step = f" (predict with -step_size {point.source.step_size:g})" if another_step else ""
    console.print(f"{file}{step}; next, one of:", highlight=False)
    inputs = "PROBABILITIES"
    if point.averaged_with:
        inputs = " ".join(f"PROBABILITIES_{number + 1}" for number in range(1 + len(point.averaged_with)))
    else:
        console.print(f"  nnUNetv2_sizepenalty bake {folder} --operating-point {file} -o NEW_FOLDER", highlight=False)
    console.print(f"  nnUNetv2_sizepenalty apply -i {inputs} -o OUT --operating-point {file}", highlight=False)


def choice_warnings(name: str, chosen: ClassPoint, grid: ThresholdGrid) -> list[str]:
    """Returns a line for each choice that lies at an end of its grid, or that was none since all candidates tie."""
    warnings = []
    for fold, choice in chosen.choices.items():
        where = f"{name}, {'all folds together' if fold == ENSEMBLE else f'fold {fold}'}"
        if choice.all_tied:
            warnings.append(f"{where}: every candidate has the same score, nothing was chosen")
            continue
        warnings += [f"{where}: the choice is the {edge} of the search{_remark(edge, grid)}" for edge in choice.edge]
    return warnings


def _remark(edge: str, grid: ThresholdGrid) -> str:
    if grid.follows_data and edge != "largest size":
        return f": {'all but zeros' if edge == 'lowest threshold' else 'nothing but ones'} is predicted there"
    remedy = "larger sizes" if edge == "largest size" else "thresholds beyond it, or none: they follow the data then"
    return f"; the best may lie beyond it (name {remedy})"


def _print_cross_fit(console: Console, fitted: Mapping[str, CrossFit], objective: str) -> None:
    headings = ("fold", "chosen on the others", f"{objective} (honest)", "chosen on itself", "at 0.5", "nnU-Net's")
    table = Table(*headings, title="cross-fit")
    for fold, result in fitted.items():
        cut = f"{threshold(result.chosen.threshold)}, {_size(result.chosen.min_size)}" if result.chosen else ""
        values = (result.cross_fitted, result.optimistic, result.at_half, result.nnunet)
        table.add_row(fold, cut, *map(_number, values))
    console.print(table)


def _run(choice: Choice) -> str:
    """The thresholds within one standard error, where they are known."""
    if choice.within_one_se is None:
        return ""
    low, high = choice.within_one_se
    return " (alone)" if low == high else f" ({threshold(low)} to {threshold(high)})"


def _number(value: float) -> str:
    return "-" if value != value else f"{value:.4f}"


def _size(value: float) -> str:
    return f"{value:g}" if value else "none"


def print_baked(output: Path, folds: Sequence[str], checkpoints: Sequence[str], per_fold: bool) -> None:
    """Prints the nnU-Net commands that use a baked folder."""
    results = nnunet_folder(RESULTS)
    folder, parts = output.resolve(), output.resolve().name.split("__")
    dataset = ModelFolder(output).dataset
    chk = "" if FINAL in checkpoints else f" -chk {checkpoints[0]}"
    named = results is not None and len(parts) == 3 and folder.parent == results.resolve() / dataset
    for names in [[fold] for fold in folds] if per_fold else [list(folds)]:
        fold = " ".join(names)
        if named:
            model = f"nnUNetv2_predict -d {dataset} -tr {parts[0]} -p {parts[1]} -c {parts[2]}"
        else:
            model = f"nnUNetv2_predict_from_modelfolder -m {shlex.quote(str(output))}"
        print(f"{model} -f {fold}{chk} -i IN -o OUT")
        filters = output / f"crossval_results_folds_{'_'.join(names)}" / "postprocessing.pkl"
        if filters.is_file():
            print(f"nnUNetv2_apply_postprocessing -i OUT -o OUT_FILTERED -pp_pkl_file {shlex.quote(str(filters))}")
    if missing := missing_for_export(output):
        print(f"nnUNetv2_export_model_to_zip will fail: the model has no {', '.join(missing)}")
