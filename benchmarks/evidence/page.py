"""The page of docs/results: one data set's table, from what `ablate` left behind."""

import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path

import floor
import numpy as np
import pandas as pd
from experiment import Evidence, Place, Size
from published import write_numbers
from scores import LabelScores, mean_of, read_label
from tables import difference_table, model_table, size_table, thesis_table

from nnunetv2_sizepenalty import __version__
from nnunetv2_sizepenalty.ablation.matrix import read_matrix
from nnunetv2_sizepenalty.ablation.prepare import prepare
from nnunetv2_sizepenalty.ablation.results import whole_models
from nnunetv2_sizepenalty.ablation.runs import Run
from nnunetv2_sizepenalty.ablation.state import Ablation, State
from nnunetv2_sizepenalty.atomic import atomic_file
from nnunetv2_sizepenalty.evaluation.statistics import mean_estimate
from nnunetv2_sizepenalty.nnunet_io.dataset import find_dataset, image_files
from nnunetv2_sizepenalty.nnunet_io.folds import read_folds
from nnunetv2_sizepenalty.pages.numbers import interval, number


def write_page(evidence: Evidence, place: Place, size: Size, matrix_file: Path, command: str, path: Path) -> Path:
    """Writes the page of one size, and its numbers as a table beside it; returns its path."""
    ablation = prepare(read_matrix(matrix_file), place.out)
    table = pd.read_csv(place.out / "runs.csv")
    states = {row.run: State(row.state) for row in table.itertuples()}
    models, holes = whole_models(ablation.runs, states)
    lines = [
        f"# {evidence.title}",
        evidence.about,
        f"`{command}`",
        _how(ablation, evidence, size),
        _hardware(models, size.device),
        *(["\n".join(f"- {hole}" for hole in holes)] if holes else []),
    ]
    if models:
        floors = _floors(ablation, evidence.views)
        for label in table["label"].dropna().unique():
            lines += _label(read_label(label, models, table, place.out), floors[label])
        write_numbers((run for runs in models.values() for run in runs), path.with_suffix(".csv"))
    with atomic_file(path) as temporary:
        temporary.write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    return path


def beats_floor(scores: LabelScores, found: floor.Floor) -> bool:
    """Whether every repeat of the baseline has a higher mean Dice, at its own operating point, than the floor; over
    the cases with a lesion."""
    return all(dice.mean() > found.dice for dice in scores.baseline_dice)


def _label(scores: LabelScores, found: floor.Floor) -> list[str]:
    counts = beats_floor(scores, found)
    cases = int(np.isfinite(found.per_case).sum())
    difference = mean_estimate(mean_of(scores.baseline_dice) - found.per_case)
    verdict = (
        "Each of its repeats is above the floor: comparisons with it count."
        if counts
        else "Not each of its repeats is above the floor: **no comparison below counts**, whatever its interval says."
    )
    return [
        f"## {scores.label}",
        f"Floor: Dice {number(found.dice)} on the {cases} test cases with a lesion, by {found.view} > "
        f"{number(found.threshold)}, the best plain threshold on these very cases. The baseline `{scores.baseline}` at "
        f"its own operating point differs from it by {number(difference.value)} "
        f"({interval(difference.low, difference.high)}). {verdict}",
        model_table(scores),
        difference_table(scores, counts),
        thesis_table(scores, counts),
        size_table(scores),
    ]


def _floors(ablation: Ablation, views: floor.Views) -> dict[str, floor.Floor]:
    dataset = find_dataset(ablation.runs[0].dataset)
    cases = ablation.runs[0].part.scored
    images = image_files(dataset)
    return floor.find_floors({case: (images[case], dataset.labels[case]) for case in cases}, dataset.settings, views)


def _how(ablation: Ablation, evidence: Evidence, size: Size) -> str:
    run = ablation.runs[0]
    train = read_folds(find_dataset(run.dataset).folder)[run.fold].train
    network = (
        "the planner's own plan"
        if size.network is None
        else f"patches of {'x'.join(map(str, size.network.patch_size))}, batches of {size.network.batch_size}, "
        f"features {', '.join(map(str, size.network.features))}"
    )
    cases = len(train), len(run.part.validation), len(run.part.scored)
    return (
        f"{cases[0]} cases train, {cases[1]} validate (thresholds are chosen on these), {cases[2]} are scored. "
        f"{network[0].upper() + network[1:]}; step size {ablation.matrix.step_size:g}. "
        f"Matrix: `benchmarks/evidence/{evidence.name}.yaml`{'' if size.epochs is None else ', shortened'}."
    )


def _hardware(models: dict[str, Sequence[Run]], device: str) -> str:
    minutes = [training_seconds(run) / 60 for runs in models.values() for run in runs]
    lengths = " to ".join(dict.fromkeys((number(min(minutes)), number(max(minutes))))) if minutes else ""
    took = f" A training took {lengths} minutes." if any(minutes) else ""
    return f"{processor(device)}; nnunetv2-sizepenalty {__version__}, Python {platform.python_version()}.{took}"


def processor(device: str) -> str:
    """The GPU's or the CPU's name."""
    if device == "cuda":
        import torch

        return torch.cuda.get_device_name()
    try:
        name = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())[1]
    except (OSError, TypeError):
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"


def training_seconds(run: Run) -> float:
    """All epochs of a training, by nnU-Net's logs."""
    logs = run.fold_folder.glob("training_log_*.txt")
    return sum(float(s) for log in logs for s in re.findall(r"Epoch time: ([\d.]+) s", log.read_text()))
