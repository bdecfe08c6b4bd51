"""One run of the matrix: a trainer on a dataset and plan, one fold, one repeat; and where its files are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunetv2_sizepenalty.ablation.cases import Part
from nnunetv2_sizepenalty.ablation.matrix import Matrix
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.fold_folder import finished, fold_name, validated
from nnunetv2_sizepenalty.nnunet_io.model_folder import model_name
from nnunetv2_sizepenalty.trainers.names import parse


@dataclass(frozen=True)
class Run:
    """One training with its scores.

    Attributes:
        model: what the comparison calls it: runs of one model differ in fold and seed alone.
        dataset: nnU-Net's full name, DatasetXXX_NAME.
        trained_as: the trainer's name with its seed, as nnUNetv2_train -tr takes it.
        seed: of the repeat; None where the matrix names no seeds.
        nnunet_results: nnU-Net's results folder, one of its own for a repeat of a trainer whose name has no seed.
        part: the fold's cases.
        out: the ablation's folder.
    """

    model: str
    dataset: str
    trained_as: str
    plans: str
    configuration: str
    fold: int
    seed: int | None
    nnunet_results: Path
    part: Part
    out: Path

    @property
    def key(self) -> str:
        """A name for files and tables, unique within a matrix."""
        repeat = "" if self.seed is None or self.trained_as.endswith(f"_seed{self.seed}") else f"__repeat_{self.seed}"
        return f"{self.dataset}__{self.model_folder.name}__{fold_name(self.fold)}{repeat}"

    @property
    def model_folder(self) -> Path:
        """nnU-Net's results folder of the trainer, with all its folds."""
        return self.nnunet_results / self.dataset / model_name(self.trained_as, self.plans, self.configuration)

    @property
    def fold_folder(self) -> Path:
        return self.model_folder / fold_name(self.fold)

    @property
    def trained(self) -> bool:
        """Whether nothing is left of the training, its final validation included."""
        return finished(self.fold_folder) and validated(self.fold_folder, self.part.validation)

    @property
    def lock(self) -> Path:
        """Beside nnU-Net's files, so that two matrices that share a training exclude each other too."""
        return self.model_folder / f".{fold_name(self.fold)}.lock"

    @property
    def folder(self) -> Path:
        """Everything that comes after the training."""
        return self.out / "runs" / self.key

    @property
    def inputs(self) -> Path:
        """Links to the images and references that the run is scored on."""
        return self.out / "inputs" / self.dataset / fold_name(self.fold)

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"


def seeded(trainer: str, seed: int) -> str | None:
    """Returns the trainer's name with a seed; None for a trainer that knows none.

    Raises:
        UserError: the name has a seed already.
    """
    if parse(name := f"{trainer}_seed{seed}"):
        return name
    meaning = parse(trainer)
    if meaning and "seed" in meaning.values:
        raise UserError(f"trainer {trainer} names a seed, and so does the key seeds: leave one out")
    return None


def make_runs(
    matrix: Matrix, names: Mapping[str, str], parts: Mapping[tuple[str, int], Part], nnunet_results: Path, out: Path
) -> list[Run]:
    """Lists every run of the matrix: repeat after repeat, model after model, fold after fold.

    So a matrix that is stopped early can compare all models by the repeats that are whole.

    Args:
        names: a dataset as the matrix calls it -> its full name.
        parts: (full name, fold) -> its cases.
        nnunet_results: nnU-Net's own.
        out: the ablation's folder.
    """
    runs = []
    for seed in matrix.seeds or [None]:
        for model, dataset, trainer, plans in _models(matrix, names):
            name = trainer if seed is None else seeded(trainer, seed)
            results = nnunet_results if name else out / f"nnUNet_results_repeat_{seed}"
            for fold in matrix.folds:
                part = parts[dataset, fold]
                runs.append(
                    Run(model, dataset, name or trainer, plans, matrix.configuration, fold, seed, results, part, out)
                )
    return runs


def _models(matrix: Matrix, names: Mapping[str, str]) -> list[tuple[str, str, str, str]]:
    """(name in the comparison, dataset, trainer, plans); a name says as much as tells the models apart."""
    rows = [
        (names[dataset], row.trainer, plans)
        for row in matrix.trainers
        for dataset in row.datasets or matrix.datasets
        for plans in row.plans or matrix.plans
    ]
    if repeated := [row for i, row in enumerate(rows) if row in rows[:i]]:
        dataset, trainer, plans = repeated[0]
        raise UserError(f"trainers: {trainer} on {dataset} with {plans} is there twice; leave one out")
    several_datasets, several_plans = (len({row[i] for row in rows}) > 1 for i in (0, 2))
    return [
        (" ".join([trainer, *[dataset] * several_datasets, *[plans] * several_plans]), dataset, trainer, plans)
        for dataset, trainer, plans in rows
    ]


def peers_of(run: Run, runs: Sequence[Run]) -> tuple[Run, ...]:
    """Returns the other folds of the run's model and repeat."""
    return tuple(
        other
        for other in runs
        if other.model_folder == run.model_folder and other.seed == run.seed and other.fold != run.fold
    )
