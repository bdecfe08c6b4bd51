"""From a matrix to its runs: everything that can be found wrong before a minute is spent."""

import contextlib
import io
from pathlib import Path

from nnunetv2_sizepenalty.ablation.cases import read_parts, write_inputs
from nnunetv2_sizepenalty.ablation.lock import held
from nnunetv2_sizepenalty.ablation.matrix import Matrix
from nnunetv2_sizepenalty.ablation.runs import make_runs, seeded
from nnunetv2_sizepenalty.ablation.state import Ablation
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.dataset import Dataset, find_dataset
from nnunetv2_sizepenalty.nnunet_io.folders import RAW, RESULTS, VARIABLES, nnunet_folder
from nnunetv2_sizepenalty.nnunet_io.plan import Plan, plans_file, preprocess_command


def prepare(matrix: Matrix, out: Path) -> Ablation:
    """Makes the ablation of a matrix and checks it; writes nothing.

    Raises:
        UserError: nnU-Net's folders, a dataset, its split or plan, or a trainer is missing.
    """
    folders = {name: nnunet_folder(name) for name in VARIABLES}
    if missing := [name for name, folder in folders.items() if folder is None]:
        raise UserError(f"{missing[0]} is not set: export it as nnU-Net needs it")
    rows = matrix.trainers
    wanted = dict.fromkeys(name for row in rows for name in row.datasets or matrix.datasets)
    datasets = {name: find_dataset(name) for name in wanted}
    names = {name: dataset.name for name, dataset in datasets.items()}
    for row in rows:
        _check_trainer(row.trainer, matrix)
        for name in row.datasets or matrix.datasets:
            for plans in row.plans or matrix.plans:
                _check_plan(datasets[name], plans, matrix.configuration)
    parts = {
        (dataset.name, fold): part
        for dataset in datasets.values()
        for fold, part in read_parts(dataset, matrix.folds).items()
    }
    runs = make_runs(matrix, names, parts, folders[RESULTS], out)
    return Ablation(matrix, tuple(runs), folders[RAW], out)


def write_all_inputs(ablation: Ablation) -> None:
    """Links every run's images and references; of two calls at once one does it after the other."""
    while True:
        with held(ablation.out / "inputs" / ".lock") as lock:
            if lock is not None:
                _write_all_inputs(ablation)
                return


def _write_all_inputs(ablation: Ablation) -> None:
    for name in dict.fromkeys(run.dataset for run in ablation.runs):
        dataset = find_dataset(name)
        folders = {run.inputs: run.part for run in ablation.runs if run.dataset == name}
        for folder, part in folders.items():
            write_inputs(dataset, part, folder)


def _check_trainer(trainer: str, matrix: Matrix) -> None:
    for name in [seeded(trainer, seed) or trainer for seed in matrix.seeds or []] or [trainer]:
        try:
            _find_trainer(name)
        except RuntimeError:
            raise UserError(
                f"trainers: nnU-Net finds no {name}; `nnUNetv2_sizepenalty trainers` lists this package's"
            ) from None


def _find_trainer(name: str) -> type:
    """Finds the class by nnU-Net's own look-up, without what it prints."""
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

    with contextlib.redirect_stdout(io.StringIO()):
        return recursive_find_trainer_class_by_name(name)


def _check_plan(dataset: Dataset, plans: str, configuration: str) -> None:
    plan = Plan(plans_file(dataset.folder, plans), configuration)
    if not plan.path.is_file():
        raise UserError(f"{plan.path} is missing: plan the dataset, or name other plans")
    if configuration not in plan.configurations:
        known = ", ".join(plan.configurations)
        raise UserError(f"{plan.path} has no configuration {configuration}; it has {known}")
    if not plan.folder.is_dir():
        raise UserError(f"{plan.folder} is missing: run `{preprocess_command(plan, dataset.name)}`")


def advice(ablation: Ablation, time_limit: bool) -> list[str]:
    """Lists what the user should know before the runs start."""
    lines = []
    if time_limit and (others := sorted({run.trained_as for run in ablation.runs if not _resumes(run.trained_as)})):
        lines.append(
            f"{', '.join(others)}: not of this package, so a job that is stopped loses what it did since its last "
            "checkpoint (nnU-Net writes one every 50 epochs, and at each best epoch)"
        )
    return lines


def _resumes(trainer: str) -> bool:
    from nnunetv2_sizepenalty.trainers.base import SizePenaltyTrainer

    return issubclass(_find_trainer(trainer), SizePenaltyTrainer)
