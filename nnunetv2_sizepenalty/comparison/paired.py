"""A table of differences between models: tested together, and a verdict for each, or none."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from nnunetv2_sizepenalty.comparison.contrast import Contrast
from nnunetv2_sizepenalty.comparison.floor import repeat_p
from nnunetv2_sizepenalty.comparison.sign_flip import ALPHA, p_values, sign_patterns

CANNOT_TELL = "can't tell"


@dataclass(frozen=True)
class Question:
    """One row of such a table: a figure over some cases of a model against the baseline.

    Attributes:
        keys: the row's first columns.
        better: +1 where higher is better, -1 where lower is, 0 where neither: then there is no verdict.
        known: where both models have a value.
        filled: with the worst value for what a prediction leaves undefined; None where nothing is.
        primary: named before looking, so tested apart from the others.
    """

    keys: dict[str, object]
    better: int
    known: Contrast
    filled: Contrast | None = None
    primary: bool = False


def judge(questions: Sequence[Question], patients: int) -> pd.DataFrame:
    """Tests all rows of a table together; those named as primary together by themselves.

    p, p_corrected and p_repeats are the larger of both readings where something is undefined through a prediction.

    Args:
        patients: how many there are in the table, swapped or not.

    Returns:
        The rows' keys, then baseline_mean, model_mean, difference, low, high, interval, p, wins, ties, losses,
        detectable, p_corrected, p_holm, noise_floor, p_repeats, verdict.
    """
    tables = [_judge_family([q for q in questions if q.primary == primary], patients) for primary in (True, False)]
    rows = {id(question): row for table in tables for question, row in table}
    return pd.DataFrame([rows[id(question)] for question in questions])


def _judge_family(questions: Sequence[Question], patients: int) -> list[tuple[Question, dict[str, object]]]:
    if not questions:
        return []
    patterns = sign_patterns(patients)
    readings = [[q.known for q in questions], [q.filled or q.known for q in questions]]
    tested, seeds = [], []
    for contrasts in readings[: 1 + any(q.filled is not None for q in questions)]:
        tested.append(p_values(np.stack([contrast.under(patterns) for contrast in contrasts], axis=1)))
        seeds.append(repeat_p([contrast.noise for contrast in contrasts]))
    p, p_corrected = (np.max([getattr(t, name) for t in tested], axis=0) for name in ("p", "p_corrected"))
    p_repeats = np.max(seeds, axis=0)
    p_holm = holm(p)
    rows = []
    for i, question in enumerate(questions):
        known = question.known
        words = {
            verdict(contrast, p_corrected[i], p_repeats[i], question.better) for contrast in (known, readings[1][i])
        }
        row = question.keys | {
            "baseline_mean": known.baseline,
            "model_mean": known.model,
            "difference": known.difference.value,
            "low": known.difference.low,
            "high": known.difference.high,
            "interval": known.difference.interval,
            "p": p[i],
            **wins(known.by_case, question.better),
            "detectable": known.detectable(tested[0].level[i]),
            "p_corrected": p_corrected[i],
            "p_holm": p_holm[i],
            "noise_floor": known.noise.floor,
            "p_repeats": p_repeats[i],
            "verdict": words.pop() if len(words) == 1 else CANNOT_TELL,
        }
        rows.append((question, row))
    return rows


def wins(differences: np.ndarray, better: int) -> dict[str, int]:
    """Counts the cases that the model wins, ties and loses; all ties where a metric has no direction."""
    gain = differences * better
    return {"wins": int((gain > 0).sum()), "ties": int((gain == 0).sum()), "losses": int((gain < 0).sum())}


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Holm's correction over the tests of one table; NaN (no test) stays NaN and does not count."""
    corrected = np.array(p_values, dtype=float)
    tested = ~np.isnan(corrected)
    if tested.any():
        corrected[tested] = multipletests(corrected[tested], method="holm")[1]
    return corrected


def verdict(contrast: Contrast, p_corrected: float, p_repeats: float, better: int) -> str:
    """Says "better", "worse" or "can't tell".

    A difference counts when its corrected p is below 5 %, its interval leaves out 0 and, where a model was trained
    several times, it passes the noise floor and its corrected p over the repeats is below 5 %, too.
    """
    difference = contrast.difference
    counts = p_corrected < ALPHA and (difference.low > 0 or difference.high < 0)
    if contrast.noise.freedom:
        counts = counts and abs(difference.value) > contrast.noise.floor and p_repeats < ALPHA
    if not counts or better == 0:
        return CANNOT_TELL
    return "better" if difference.value * better > 0 else "worse"
