"""How often `compare` finds a difference where there is none: ten seeds of one model, split into two fives.

python benchmarks/same_model.py [--tens 10] [--cases 12 40] [--seed 0]      # simulated scores
python benchmarks/same_model.py EVALUATION_0 ... EVALUATION_9               # outputs of `evaluate` of ten seeds

Each of the 126 splits is compared as `compare` does it, over all cases, with all its figures; a table counts when it
carries any verdict. Beside it stands the share where the floor of each figure by itself, without the correction over
the repeats, would have let a verdict pass. Simulated scores are of a case's own difficulty, a seed's own skill (both
act on all metrics) and noise, with lesions that are missed, false positives, empty predictions (no surface distance)
and lesion-free cases:

- alike: seeds differ a little;
- apart: seeds differ as much as cases scatter;
- bimodal: three of ten trainings take off, the others don't;
- heavy: a seed fails on single cases, t-distributed noise of two degrees of freedom.
"""

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from nnunetv2_sizepenalty.comparison.models import Model
from nnunetv2_sizepenalty.comparison.paired import CANNOT_TELL
from nnunetv2_sizepenalty.comparison.scores import differences
from nnunetv2_sizepenalty.comparison.setting import Setting
from nnunetv2_sizepenalty.comparison.sign_flip import ALPHA
from nnunetv2_sizepenalty.evaluation import formulas, read_evaluation
from nnunetv2_sizepenalty.evaluation.runs import mean_over_repeats
from nnunetv2_sizepenalty.evaluation.strata import ALL
from nnunetv2_sizepenalty.lesions import SizeBins

SEEDS = 10
SCENARIOS = ("alike", "apart", "bimodal", "heavy")


def simulate(scenario: str, cases: int, rng: np.random.Generator) -> list[pd.DataFrame]:
    """Draws cases.csv of ten seeds of one model on the same cases."""
    difficulty = rng.normal(0, 1, cases)
    volume = np.where(rng.random(cases) < 0.1, 0, rng.lognormal(1, 1.5, cases))
    lesions = np.where(volume > 0, 1 + rng.poisson(2, cases), 0)
    skills = rng.normal(0, {"alike": 0.1, "apart": 1.0, "bimodal": 0.1, "heavy": 0.2}[scenario], SEEDS)
    if scenario == "bimodal":
        skills[:3] += 2
    names = [f"case_{i:03d}" for i in range(cases)]
    return [_seed(scenario, skill, difficulty, volume, lesions, names, rng) for skill in skills]


def _seed(scenario, skill, difficulty, volume, lesions, names, rng) -> pd.DataFrame:
    cases = len(names)
    noise = rng.standard_t(2, cases) if scenario == "heavy" else rng.normal(0, 1, cases)
    quality = 1 / (1 + np.exp(-(0.5 + skill - difficulty + 0.5 * noise)))
    found = rng.binomial(lesions, np.clip(quality, 0.02, 0.98))
    false_positives = rng.poisson(2 * (1 - quality))
    empty = (found == 0) & (false_positives == 0)
    prediction = np.where(
        empty, 0, volume * np.exp(rng.normal(0, 0.6, cases) * (1.2 - quality)) + 0.1 * false_positives
    )
    dice = np.where(found > 0, quality * np.clip(rng.normal(0.9, 0.05, cases), 0, 1), 0.0)
    both_empty = empty & (volume == 0)
    matched = rng.binomial(found, quality)
    none = lesions + false_positives + found == 0
    f1 = formulas.lesion_f1(found, lesions - found, false_positives).value
    rq = formulas.recognition_quality(matched, false_positives + found - matched, lesions - matched).value
    sq_matched = np.where(matched > 0, 0.5 + 0.4 * quality * rng.random(cases), np.nan)
    sq = np.where(none, np.nan, np.nan_to_num(sq_matched))
    distance = np.exp(rng.normal(1.5 - 2 * quality, 0.5))
    return pd.DataFrame(
        {
            "case": names,
            "label": "lesion",
            "n_reference": lesions,
            "reference_ml": volume,
            "prediction_ml": prediction,
            "dice": np.where(both_empty, np.nan, dice),
            "false_positives": false_positives,
            "missed": lesions - found,
            "detection_rate": formulas.sensitivity(found, lesions).value,
            "rve": formulas.relative_volume_error(prediction, volume).value,
            "pq": rq * np.nan_to_num(sq_matched),
            "sq": sq,
            "sq_matched": sq_matched,
            "rq": rq,
            "assd": np.where(empty | (volume == 0), np.nan, distance),
            "lesion_f1": f1,
            "absolute_volume_error_ml": abs(prediction - volume),
        }
    )


def count_verdicts(seeds: Sequence[pd.DataFrame], setting: Setting) -> np.ndarray:
    """Counts over all splits into two fives: tables with a verdict, those with one by the floor alone, all tables."""
    others = range(1, SEEDS)
    counts = np.zeros(3, int)
    for chosen in itertools.combinations(others, SEEDS // 2 - 1):
        first = [seeds[i] for i in (0, *chosen)]
        second = [seeds[i] for i in others if i not in chosen]
        models = [Model(name, (), tuple(of), mean_over_repeats(of)) for name, of in (("A", first), ("B", second))]
        table = differences(models, setting, [ALL])
        beyond = (table["p_corrected"] < ALPHA) & (table["difference"].abs() > table["noise_floor"])
        counts += [(table["verdict"] != CANNOT_TELL).any(), beyond.any(), 1]
    return counts


def told(counts: np.ndarray) -> str:
    """Words the counts."""
    hits, beyond, of = counts
    return f"{hits} of {of} tables carry a verdict, {hits / of:.1%} (by the floor alone {beyond / of:.1%})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evaluations", nargs="*", type=Path)
    parser.add_argument("--tens", type=int, default=10, help="how often ten seeds are drawn")
    parser.add_argument("--cases", type=int, nargs="+", default=[12, 40])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.evaluations:
        if len(args.evaluations) != SEEDS:
            parser.error(f"{len(args.evaluations)} evaluations; give those of {SEEDS} seeds")
        evaluations = [read_evaluation(folder) for folder in args.evaluations]
        summary = evaluations[0].summary
        for label in summary.labels:
            tables = [e.cases[e.cases["label"] == label].sort_values("case", ignore_index=True) for e in evaluations]
            print(f"{label}: {told(count_verdicts(tables, Setting(label, summary.bins)))}")
        return
    total = np.zeros(3, int)
    for cases in args.cases:
        for scenario in SCENARIOS:
            rng = np.random.default_rng([args.seed, cases, SCENARIOS.index(scenario)])
            counts = np.zeros(3, int)
            for _ in range(args.tens):
                counts += count_verdicts(simulate(scenario, cases, rng), Setting("lesion", SizeBins()))
            print(f"{cases} cases, {scenario}: {told(counts)}", flush=True)
            total += counts
    print(f"all: {told(total)}")


if __name__ == "__main__":
    main()
