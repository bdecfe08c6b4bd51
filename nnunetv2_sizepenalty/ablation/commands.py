"""The exact commands of a run, stage by stage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nnunetv2_sizepenalty.ablation.cases import CASES
from nnunetv2_sizepenalty.ablation.matrix import Matrix
from nnunetv2_sizepenalty.ablation.runs import Run
from nnunetv2_sizepenalty.ablation.trained import FINAL

OURS = "nnUNetv2_sizepenalty"
# nnUNetv2_train's own validation can't be told another step
VALIDATION_STEP = 0.5


@dataclass(frozen=True)
class Stage:
    """A command that fills one folder.

    Attributes:
        name: also the folder's, in the run's own.
        what: the command with all that its result depends on.
        how: the rest of it: device and processes.
        inputs: files that decide, beside `what`, whether a result still holds.
        keeps: whether the folder of an interrupted command is of use to the next.
    """

    name: str
    what: tuple[str, ...]
    how: tuple[str, ...] = field(default=(), compare=False)
    inputs: tuple[Path, ...] = ()
    keeps: bool = False

    @property
    def command(self) -> tuple[str, ...]:
        return self.what + self.how


def _workers(matrix: Matrix) -> str:
    """Processes beside the one that computes; on a CPU they would take its core."""
    return "1" if matrix.device == "cpu" else "3"


def train_command(run: Run, matrix: Matrix, gpus: int = 1, *, option: str | None = None) -> tuple[str, ...]:
    """nnUNetv2_train, with `--c` to continue or `--val` to validate alone."""
    return (
        *("nnUNetv2_train", run.dataset, run.configuration, str(run.fold), "-tr", run.trained_as, "-p", run.plans),
        *("-device", matrix.device, "--npz"),
        *(("-num_gpus", str(gpus)) if gpus > 1 else ()),
        *((option,) if option else ()),
    )


def marker(run: Run, stage: str) -> Path:
    """The file that is written last into a stage's folder: without it the stage is not done."""
    return run.folder / stage / ".done.json"


def scoring_stages(run: Run, matrix: Matrix, raw_dataset: Path) -> list[Stage]:
    """What follows the training and needs no other fold."""
    predictions, labels = run.folder / "predictions", run.inputs / "labels"
    rules = _rules(matrix, raw_dataset)
    predicted = (marker(run, "predictions"),)
    workers = _workers(matrix)
    return [
        Stage(
            "predictions",
            (
                *("nnUNetv2_predict", "-i", str(run.inputs / "images"), "-o", str(predictions), "-d", run.dataset),
                *("-c", run.configuration, "-tr", run.trained_as, "-p", run.plans, "-f", str(run.fold)),
                *("-step_size", str(matrix.step_size), "--save_probabilities"),
            ),
            ("-device", matrix.device, "-npp", workers, "-nps", workers),
            (run.fold_folder / FINAL, run.inputs / CASES),
        ),
        Stage(
            "froc",
            (
                *(OURS, "froc", "-ref", str(labels), "-probabilities", str(predictions)),
                *("-o", str(run.folder / "froc"), *rules),
            ),
            ("-np", workers),
            predicted,
        ),
        _evaluate(run, matrix, rules, "evaluation_at_half", predictions, predicted),
    ]


def threshold_stages(run: Run, matrix: Matrix, raw_dataset: Path, chosen_on: Sequence[Run]) -> list[Stage]:
    """The operating point, chosen on the validation cases of `chosen_on`, and what it gives on the run's own cases."""
    point, tuned = run.folder / "operating_point", run.folder / "tuned"
    thresholds = ["dense"] if matrix.thresholds == "dense" else matrix.thresholds
    another_step = matrix.step_size != VALIDATION_STEP
    return [
        Stage(
            "operating_point",
            (
                *(OURS, "threshold", str(run.model_folder), "-o", str(point)),
                *("-f", *(str(other.fold) for other in chosen_on)),
                *("--thresholds", *map(str, thresholds), "--min-voxels", *(f"{size:g}" for size in matrix.min_voxels)),
                *("--objective", matrix.objective),
                *(("--predict", "--step-size", str(matrix.step_size)) if another_step else ()),
            ),
            (*(("-device", matrix.device) if another_step else ()), "-np", _workers(matrix)),
            tuple(other.fold_folder / FINAL for other in chosen_on),
            keeps=True,
        ),
        Stage(
            "tuned",
            (
                *(OURS, "apply", "-i", str(run.folder / "predictions"), "-o", str(tuned)),
                *("--operating-point", str(point / "operating_point.json")),
            ),
            ("-np", _workers(matrix)),
            (marker(run, "predictions"), marker(run, "operating_point")),
        ),
        _evaluate(run, matrix, _rules(matrix, raw_dataset), "evaluation", tuned, (marker(run, "tuned"),)),
    ]


def _rules(matrix: Matrix, raw_dataset: Path) -> tuple[str, ...]:
    edges = ["--bins-ml", *(f"{edge:g}" for edge in matrix.bins_ml)]
    if matrix.bins_px is not None:
        edges += ["--bins-px", *(f"{edge:g}" for edge in matrix.bins_px)]
    return ("-djfile", str(raw_dataset / "dataset.json"), "--protocol", matrix.protocol, *edges)


def _evaluate(
    run: Run, matrix: Matrix, rules: tuple[str, ...], name: str, masks: Path, inputs: tuple[Path, ...]
) -> Stage:
    return Stage(
        name,
        (
            *(OURS, "evaluate", "-ref", str(run.inputs / "labels"), "-pred", str(masks)),
            *("-o", str(run.folder / name), "--images", str(run.inputs / "images"), *rules),
        ),
        ("-np", _workers(matrix)),
        inputs,
    )


def compare_command(evaluation: str, models: Mapping[str, Sequence[Run]], output: Path) -> tuple[str, ...]:
    """`compare` of whole models, each named by its folds and repeats; the first is the baseline."""

    def named(folder_of) -> list[str]:
        return [f"{name}={','.join(str(folder_of(run)) for run in runs)}" for name, runs in models.items()]

    return (
        *(OURS, "compare", *named(lambda run: run.folder / evaluation), "-o", str(output)),
        *("--froc", *named(lambda run: run.folder / "froc")),
        *("--results", *named(lambda run: run.fold_folder)),
    )
