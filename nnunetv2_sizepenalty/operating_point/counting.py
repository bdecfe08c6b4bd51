"""Counts of all validation cases, each stored as soon as it is there, so that an interrupted run goes on."""

import itertools
import json
import multiprocessing
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from nnunetv2_sizepenalty.atomic import atomic_file
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation.calibration import CalibrationCounts, count_calibration
from nnunetv2_sizepenalty.nnunet_io.classes import Label
from nnunetv2_sizepenalty.nnunet_io.probabilities import check_probabilities, read_probabilities
from nnunetv2_sizepenalty.operating_point.candidates import Candidates
from nnunetv2_sizepenalty.operating_point.counts import CaseCounts, count_candidates
from nnunetv2_sizepenalty.operating_point.model_folder import ModelFolder, spacing_of
from nnunetv2_sizepenalty.operating_point.predictor import FoldPredictor, Prediction, probabilities_from_logits
from nnunetv2_sizepenalty.parallel import map_cases

# Raised when counts mean something else, so that stored ones are not taken for new ones.
_COUNTS_VERSION = 1


@dataclass(frozen=True)
class ClassCounts:
    """All that is kept of one class in one case."""

    candidates: CaseCounts
    calibration: CalibrationCounts


@dataclass(frozen=True)
class Job:
    """One case to count.

    Attributes:
        reference: its reference label map.
        origin: the file that its probabilities come from: an .npz, or the checkpoint that predicts it.
        prediction: how it is predicted; None reads `origin`.
        store: where its counts go.
    """

    model: ModelFolder
    fold: str
    case: str
    labels: tuple[Label, ...]
    candidates: Candidates
    reference: Path
    origin: Path
    prediction: Prediction | None
    store: Path

    @property
    def key(self) -> str:
        """Everything that the counts depend on: stored counts with another key are not used."""
        files = [(str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns) for p in (self.reference, self.origin)]
        how = None if self.prediction is None else asdict(self.prediction)
        names = ("name", "channel", "values", "painted")
        labels = [{name: getattr(label, name) for name in names} for label in self.labels]
        settings = asdict(self.candidates), labels, how
        return json.dumps([_COUNTS_VERSION, files, settings])


def count_jobs(jobs: Sequence[Job], processes: int) -> dict[str, dict[str, dict[str, ClassCounts]]]:
    """Counts every case that isn't stored yet.

    Returns:
        class -> fold -> case -> counts.

    Raises:
        UserError: a file of a case is unusable; what was counted before stays stored.
    """
    todo = [job for job in jobs if _load(job) is None]
    if len(todo) < len(jobs):
        print(f"{len(jobs) - len(todo)} of {len(jobs)} cases are counted already")
    if any(job.prediction for job in todo):
        _predict_and_count(todo, processes)
    elif todo:
        map_cases(_count_saved, todo, processes=processes, description="counting")
    result: dict[str, dict[str, dict[str, ClassCounts]]] = {}
    for job in jobs:
        for name, counts in _load(job).items():
            result.setdefault(name, {}).setdefault(job.fold, {})[job.case] = counts
    return result


def _predict_and_count(jobs: Sequence[Job], processes: int) -> None:
    """Predicts case after case in this process; the others resample and count, one case each in memory."""
    pool = ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) if processes > 1 else None
    pending: set[Future] = set()
    try:
        with tqdm(total=len(jobs), desc="predicting", unit="case", disable=None) as bar:

            def collect(most: int) -> None:
                while len(pending) > most:
                    done, _ = wait(pending, return_when=FIRST_COMPLETED)
                    pending.difference_update(done)
                    for future in done:
                        future.result()
                        bar.update()

            for fold, of_fold in itertools.groupby(jobs, key=lambda job: job.fold):
                predictor = None
                for job in of_fold:
                    predictor = predictor or FoldPredictor(job.model, fold, job.prediction)
                    logits, properties = predictor.logits(job.case)
                    if pool is None:
                        _count_predicted(job, logits, properties)
                        bar.update()
                    else:
                        collect(processes - 1)
                        pending.add(pool.submit(_count_predicted, job, logits, properties))
            collect(0)
    except BrokenProcessPool:
        raise UserError(f"a process was killed, perhaps for memory: use fewer than {processes} processes") from None
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def _count_saved(job: Job) -> None:
    _count(job, lambda shape: read_probabilities(job.origin, shape))


def _count_predicted(job: Job, logits: np.ndarray, properties: Mapping[str, Any]) -> None:
    def probabilities(shape: tuple[int, ...]) -> np.ndarray:
        predicted = probabilities_from_logits(logits, properties, job.model)
        check_probabilities(predicted, shape, f"the prediction of {job.case}")
        return predicted

    _count(job, probabilities)


def _count(job: Job, probabilities: Callable[[tuple[int, ...]], np.ndarray]) -> None:
    """Counts one case and stores it; `probabilities` is called with the shape that they must have."""
    segmentation, properties = job.model.reader().read_seg(str(job.reference))
    segmentation = segmentation[0]
    predicted = probabilities((job.model.labels.n_channels, *segmentation.shape))
    ignore = job.model.labels.ignore
    valid = None if ignore is None else segmentation != ignore
    spacing = spacing_of(properties)
    arrays: dict[str, np.ndarray] = {}
    for number, label in enumerate(job.labels):
        probability, reference = predicted[label.channel], label.mask(segmentation)
        counted = {
            "candidates": count_candidates(probability, reference, job.candidates, spacing, valid),
            "calibration": count_calibration(probability, reference, spacing, valid),
        }
        for part, counts in counted.items():
            arrays |= {f"{number}.{part}.{name}": array for name, array in counts.as_arrays().items()}
    with atomic_file(job.store) as path:
        np.savez_compressed(path, key=np.array(job.key), **arrays)


def _load(job: Job) -> dict[str, ClassCounts] | None:
    """The stored counts per class, or None where there are none for exactly this job."""
    try:
        with np.load(job.store) as file:
            if str(file["key"]) != job.key:
                return None
            parts: dict[str, dict[str, dict[str, np.ndarray]]] = {}
            for entry in file.files:
                if entry != "key":
                    number, part, name = entry.split(".")
                    parts.setdefault(number, {}).setdefault(part, {})[name] = file[entry]
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error):
        return None
    return {
        label.name: ClassCounts(
            CaseCounts(**parts[str(number)]["candidates"]), CalibrationCounts(**parts[str(number)]["calibration"])
        )
        for number, label in enumerate(job.labels)
    }
