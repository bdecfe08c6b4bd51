"""The stages of a run, and the training's command."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunetv2_sizepenalty.ablation.calls import (
    Apply,
    Call,
    ChoosePoint,
    Compare,
    Evaluate,
    NnunetCommand,
    Rules,
    ScoreProbabilities,
)
from nnunetv2_sizepenalty.ablation.cases import CASES
from nnunetv2_sizepenalty.ablation.matrix import Matrix
from nnunetv2_sizepenalty.ablation.runs import Run
from nnunetv2_sizepenalty.nnunet_io.file_names import DATASET_JSON, FINAL


@dataclass(frozen=True)
class Stage:
    """What fills one folder.

    Attributes:
        name: also the folder's, in the run's own.
        work: what is done.
        inputs: files that decide, beside `work.what`, whether a result still holds.
        keeps: whether the folder of an interrupted stage is of use to the next.
    """

    name: str
    work: NnunetCommand | Call
    inputs: tuple[Path, ...] = ()
    keeps: bool = False

    @property
    def command(self) -> tuple[str, ...]:
        """What a user would type for it."""
        return self.work.what + self.work.how


def _workers(matrix: Matrix) -> int:
    """How many processes work beside the one that computes; on a CPU they would take its core."""
    return 1 if matrix.device == "cpu" else 3


def train_command(run: Run, matrix: Matrix, gpus: int = 1, *, option: str | None = None) -> tuple[str, ...]:
    """Makes nnUNetv2_train's command, with `--c` to continue or `--val` to validate alone."""
    return (
        *("nnUNetv2_train", run.dataset, run.configuration, str(run.fold), "-tr", run.trained_as, "-p", run.plans),
        *("-device", matrix.device, "--npz"),
        *(("-num_gpus", str(gpus)) if gpus > 1 else ()),
        *((option,) if option else ()),
    )


def marker(run: Run, stage: str) -> Path:
    """Returns the file that is written last into a stage's folder: without it the stage is not done."""
    return run.folder / stage / ".done.json"


def scoring_stages(run: Run, matrix: Matrix, raw_dataset: Path) -> list[Stage]:
    """Lists what follows the training and needs no other fold."""
    predictions, references = run.folder / "predictions", run.inputs / "labels"
    predicted = (marker(run, "predictions"),)
    workers = _workers(matrix)
    predict = NnunetCommand(
        (
            *("nnUNetv2_predict", "-i", str(run.inputs / "images"), "-o", str(predictions), "-d", run.dataset),
            *("-c", run.configuration, "-tr", run.trained_as, "-p", run.plans, "-f", str(run.fold)),
            *("-step_size", str(matrix.step_size), "--save_probabilities"),
        ),
        ("-device", matrix.device, "-npp", str(workers), "-nps", str(workers)),
    )
    froc = ScoreProbabilities(references, predictions, run.folder / "froc", _rules(matrix, raw_dataset), workers)
    return [
        Stage("predictions", predict, (run.fold_folder / FINAL, run.inputs / CASES)),
        Stage("froc", froc, predicted),
        _evaluation(run, matrix, raw_dataset, "evaluation_at_half", predictions, predicted),
    ]


def threshold_stages(run: Run, matrix: Matrix, raw_dataset: Path, chosen_on: Sequence[Run]) -> list[Stage]:
    """Lists the operating point, chosen on the validation cases of `chosen_on`, and what it gives on the run's own."""
    point, tuned = run.folder / "operating_point", run.folder / "tuned"
    choose = ChoosePoint(
        run.model_folder,
        point,
        folds=tuple(other.fold for other in chosen_on),
        thresholds=matrix.thresholds if isinstance(matrix.thresholds, str) else tuple(matrix.thresholds),
        min_voxels=tuple(matrix.min_voxels),
        objective=matrix.objective,
        step_size=matrix.step_size,
        device=matrix.device,
        processes=_workers(matrix),
    )
    apply = Apply(run.folder / "predictions", tuned, point / "operating_point.json", _workers(matrix))
    return [
        Stage("operating_point", choose, tuple(other.fold_folder / FINAL for other in chosen_on), keeps=True),
        Stage("tuned", apply, (marker(run, "predictions"), marker(run, "operating_point"))),
        _evaluation(run, matrix, raw_dataset, "evaluation", tuned, (marker(run, "tuned"),)),
    ]


def _rules(matrix: Matrix, raw_dataset: Path) -> Rules:
    bins_px = None if matrix.bins_px is None else tuple(matrix.bins_px)
    return Rules(raw_dataset / DATASET_JSON, matrix.protocol, tuple(matrix.bins_ml), bins_px)


def _evaluation(run: Run, matrix: Matrix, raw_dataset: Path, name: str, masks: Path, inputs: tuple[Path, ...]) -> Stage:
    references, images = run.inputs / "labels", run.inputs / "images"
    work = Evaluate(references, masks, run.folder / name, images, _rules(matrix, raw_dataset), _workers(matrix))
    return Stage(name, work, inputs)


def comparison(evaluation: str, models: Mapping[str, Sequence[Run]], output: Path) -> Compare:
    """Makes the comparison of whole models, each given by its folds and repeats; the first is the baseline."""

    def folders(folder_of) -> dict[str, tuple[Path, ...]]:
        return {name: tuple(map(folder_of, runs)) for name, runs in models.items()}

    return Compare(
        folders(lambda run: run.folder / evaluation),
        frocs=folders(lambda run: run.folder / "froc"),
        results=folders(lambda run: run.fold_folder),
        output=output,
    )
