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
from nnunetv2_sizepenalty.nnunet_io.model_folder import ModelFolder
from nnunetv2_sizepenalty.nnunet_io.probabilities import check_probabilities, read_probabilities
from nnunetv2_sizepenalty.nnunet_io.spacing import spacing_of
from nnunetv2_sizepenalty.operating_point.count_case import CaseCounts, count_case
from nnunetv2_sizepenalty.operating_point.grid import Grid
from nnunetv2_sizepenalty.operating_point.predict import FoldPredictor, Prediction, probabilities_from_logits
from nnunetv2_sizepenalty.parallel import map_cases

# Raised when counts mean something else, so that stored ones are not taken for new ones.
_COUNTS_VERSION = 1


@dataclass(frozen=True)
class ClassCounts:
    """All that is kept of one class in one case."""

    candidates: CaseCounts
    calibration: CalibrationCounts


@dataclass(frozen=True)
class ValidationCase:
    """One case of one fold, whose cuts are to be counted.

    Attributes:
        reference: its reference label map.
        origin: the file that its probabilities come from: an .npz, or the checkpoint that predicts it.
        prediction: how it is predicted; None reads `origin`.
        store: where its counts go.
    """

    model: ModelFolder
    fold: str
    name: str
    labels: tuple[Label, ...]
    grid: Grid
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
        settings = asdict(self.grid), labels, how
        return json.dumps([_COUNTS_VERSION, files, settings])


def count_cases(cases: Sequence[ValidationCase], processes: int) -> dict[str, dict[str, dict[str, ClassCounts]]]:
    """Counts every case that isn't stored yet.

    Returns:
        class -> fold -> case -> counts.

    Raises:
        UserError: a file of a case is unusable; what was counted before stays stored.
    """
    todo = [case for case in cases if _load(case) is None]
    if len(todo) < len(cases):
        print(f"{len(cases) - len(todo)} of {len(cases)} cases are counted already")
    if any(case.prediction for case in todo):
        _predict_and_count(todo, processes)
    elif todo:
        map_cases(_count_saved, todo, processes=processes, description="counting")
    result: dict[str, dict[str, dict[str, ClassCounts]]] = {}
    for case in cases:
        for name, counts in _load(case).items():
            result.setdefault(name, {}).setdefault(case.fold, {})[case.name] = counts
    return result


def _predict_and_count(cases: Sequence[ValidationCase], processes: int) -> None:
    """Predicts case after case in this process; the others resample and count, one case each in memory."""
    pool = ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) if processes > 1 else None
    pending: set[Future] = set()
    try:
        with tqdm(total=len(cases), desc="predicting", unit="case", disable=None) as bar:

            def collect(most: int) -> None:
                while len(pending) > most:
                    done, _ = wait(pending, return_when=FIRST_COMPLETED)
                    pending.difference_update(done)
                    for future in done:
                        future.result()
                        bar.update()

            for fold, of_fold in itertools.groupby(cases, key=lambda case: case.fold):
                predictor = None
                for case in of_fold:
                    predictor = predictor or FoldPredictor(case.model, fold, case.prediction)
                    logits, properties = predictor.logits(case.name)
                    if pool is None:
                        _count_predicted(case, logits, properties)
                        bar.update()
                    else:
                        collect(processes - 1)
                        pending.add(pool.submit(_count_predicted, case, logits, properties))
            collect(0)
    except BrokenProcessPool:
        raise UserError(f"a process was killed, perhaps for memory: use fewer than {processes} processes") from None
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def _count_saved(case: ValidationCase) -> None:
    _count_and_store(case, lambda shape: read_probabilities(case.origin, shape))


def _count_predicted(case: ValidationCase, logits: np.ndarray, properties: Mapping[str, Any]) -> None:
    def probabilities(shape: tuple[int, ...]) -> np.ndarray:
        predicted = probabilities_from_logits(logits, properties, case.model)
        check_probabilities(predicted, shape, f"the prediction of {case.name}")
        return predicted

    _count_and_store(case, probabilities)


def _count_and_store(case: ValidationCase, probabilities: Callable[[tuple[int, ...]], np.ndarray]) -> None:
    """Counts one case and stores it; `probabilities` is called with the shape that they must have."""
    segmentation, properties = case.model.reader().read_seg(str(case.reference))
    segmentation = segmentation[0]
    predicted = probabilities((case.model.labels.n_channels, *segmentation.shape))
    ignore = case.model.labels.ignore
    valid = None if ignore is None else segmentation != ignore
    spacing = spacing_of(properties)
    arrays: dict[str, np.ndarray] = {}
    for number, label in enumerate(case.labels):
        probability, reference = predicted[label.channel], label.mask(segmentation)
        counted = {
            "candidates": count_case(probability, reference, case.grid, spacing, valid),
            "calibration": count_calibration(probability, reference, spacing, valid),
        }
        for part, counts in counted.items():
            arrays |= {f"{number}.{part}.{name}": array for name, array in counts.as_arrays().items()}
    with atomic_file(case.store) as path:
        np.savez_compressed(path, key=np.array(case.key), **arrays)


def _load(case: ValidationCase) -> dict[str, ClassCounts] | None:
    """Reads the stored counts per class; None where there are none that were made for exactly this."""
    try:
        with np.load(case.store) as file:
            if str(file["key"]) != case.key:
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
        for number, label in enumerate(case.labels)
    }
