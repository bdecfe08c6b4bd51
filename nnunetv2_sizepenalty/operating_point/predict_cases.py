"""Predicts validation cases into files that are deleted as soon as they are counted."""

import itertools
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import numpy as np
from tqdm import tqdm

from nnunetv2_sizepenalty.atomic import atomic_file
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.operating_point.predict import FoldPredictor, probabilities_from_logits
from nnunetv2_sizepenalty.operating_point.validation_case import ValidationCase

Count = Callable[[ValidationCase], Any]


def predict_cases(cases: Sequence[ValidationCase], processes: int, count: Count | None) -> None:
    """Predicts case after case in this process; the others resample, one case each in memory.

    What was predicted before, by a run that was interrupted, is not predicted again.

    Args:
        cases: of one or several models, fold by fold.
        count: for cases of one model, called with each that is predicted, whose probabilities are deleted then; None
            keeps them all.
    """
    todo = [
        (case, number)
        for number in range(len(cases[0].models))
        for case in cases
        if not case.probabilities[number].is_file()
    ]
    pool = ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) if processes > 1 else None
    pending: set[Future] = set()
    try:
        with tqdm(total=len(todo), desc="predicting", unit="case", disable=None) as bar:

            def collect(most: int) -> None:
                while len(pending) > most:
                    done, _ = wait(pending, return_when=FIRST_COMPLETED)
                    pending.difference_update(done)
                    for future in done:
                        future.result()
                        bar.update()

            for (fold, number), of_fold in itertools.groupby(todo, key=lambda item: (item[0].fold, item[1])):
                predictor = None
                for case, _ in of_fold:
                    predictor = predictor or FoldPredictor(case.models[number], fold, case.prediction)
                    arguments = (case, number, *predictor.logits(case.name), count)
                    if pool is None:
                        _save(*arguments)
                        bar.update()
                    else:
                        collect(processes - 1)
                        pending.add(pool.submit(_save, *arguments))
            collect(0)
    except BrokenProcessPool:
        raise UserError(f"a process was killed, perhaps for memory: use fewer than {processes} processes") from None
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def _save(
    case: ValidationCase,
    number: int,
    logits: np.ndarray,
    properties: Mapping[str, Any],
    count: Count | None,
) -> None:
    probabilities = probabilities_from_logits(logits, properties, case.models[number])
    with atomic_file(case.probabilities[number]) as path:
        np.savez_compressed(path, probabilities=probabilities)
    if count is not None:
        count(case)
        case.delete_predicted()
