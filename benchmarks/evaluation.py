"""The figures of docs/evaluation.md: time beside panoptica 2.1.7, two workers, memory over a thousand cases.

OMP_NUM_THREADS=1 python benchmarks/evaluation.py speed [--cases 100]    # with panoptica installed (--no-deps)
OMP_NUM_THREADS=1 python benchmarks/evaluation.py workers [--cases 300]
OMP_NUM_THREADS=1 python benchmarks/evaluation.py memory [--cases 1000]
"""

import argparse
import contextlib
import io
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from nnunetv2_sizepenalty.evaluation import Protocol, evaluate_folder, write_evaluation
from nnunetv2_sizepenalty.evaluation.case import score_case
from nnunetv2_sizepenalty.evaluation.instances import find_instances

SHAPE, SPACING_MM = (73, 112, 112), (2.0, 2.0, 2.0)
# A T1-weighted volume at 1 mm: enough work a case for the processes' start not to matter.
LARGE = (160, 224, 192)


def masks(seed: int, shape: tuple[int, int, int] = SHAPE) -> tuple[np.ndarray, np.ndarray]:
    """1 to 25 balls of 1 to 10 voxels radius, most of them predicted, shifted and resized, up to 6 false positives."""
    rng = np.random.default_rng(seed)
    reference, prediction = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    for _ in range(rng.integers(1, 26)):
        centre, radius = rng.uniform(12, np.array(shape) - 12), min(rng.lognormal(0.9, 0.6), 10)
        draw_ball(reference, centre, radius)
        if rng.random() < 0.8:
            draw_ball(prediction, centre + rng.normal(0, 0.6, 3), radius * rng.uniform(0.8, 1.2))
    for _ in range(rng.integers(0, 7)):
        draw_ball(prediction, rng.uniform(12, np.array(shape) - 12), rng.uniform(1, 2.5))
    return reference, prediction


def draw_ball(mask: np.ndarray, centre: np.ndarray, radius: float) -> None:
    low = np.floor(centre - radius).astype(int)
    grid = np.indices([int(2 * radius) + 3] * 3) + low[:, None, None, None]
    inside = ((grid - centre[:, None, None, None]) ** 2).sum(axis=0) < radius**2
    mask[tuple(axis[inside] for axis in grid)] = True


def write_folders(folder: Path, cases: int, shape: tuple[int, int, int] = SHAPE) -> tuple[Path, Path]:
    for name in ("reference", "prediction"):
        (folder / name).mkdir()
    for seed in range(cases):
        for name, mask in zip(("reference", "prediction"), masks(seed, shape), strict=True):
            image = sitk.GetImageFromArray(mask.astype(np.uint8))
            image.SetSpacing(SPACING_MM[::-1])
            sitk.WriteImage(image, folder / name / f"case_{seed:04d}.nii.gz", True)
    return folder / "reference", folder / "prediction"


def seconds(function: Callable[[], object], repeats: int = 3, clock: Callable[[], float] = time.process_time) -> float:
    times = []
    for _ in range(repeats):
        start = clock()
        function()
        times.append(clock() - start)
    return min(times)


def speed(cases: int) -> None:
    """CPU time on one core. Ours always includes the whole-mask surface distances and the labelling."""
    from panoptica import InputType, Metric, NaiveThresholdMatching, Panoptica_Aggregator, Panoptica_Evaluator
    from panoptica.instance_approximator import ConnectedComponentsInstanceApproximator

    protocol = Protocol()
    pairs = [masks(seed) for seed in range(cases)]
    labels = [
        [find_instances(m, SPACING_MM, protocol, is_reference=True).labels.astype(np.uint16) for m in pair]
        for pair in pairs
    ]
    per_lesion = [Metric.DSC, Metric.IOU, Metric.ASSD]

    def theirs(global_metrics: list) -> None:
        evaluator = Panoptica_Evaluator(
            InputType.UNMATCHED_INSTANCE,
            instance_matcher=NaiveThresholdMatching(),
            instance_metrics=per_lesion,
            global_metrics=global_metrics,
        )
        with contextlib.redirect_stdout(io.StringIO()):
            for reference, prediction in labels:
                evaluator.evaluate(prediction, reference, voxelspacing=SPACING_MM, verbose=False)["ungrouped"].to_dict()

    def aggregator(folders: tuple[Path, Path], output: Path) -> None:
        evaluator = Panoptica_Evaluator(
            InputType.SEMANTIC,
            instance_approximator=ConnectedComponentsInstanceApproximator(),
            instance_matcher=NaiveThresholdMatching(),
            instance_metrics=per_lesion,
        )
        output.unlink(missing_ok=True)
        aggregate = Panoptica_Aggregator(evaluator, output)
        with contextlib.redirect_stdout(io.StringIO()):
            for path in sorted(folders[0].iterdir()):
                aggregate.evaluate(str(folders[1] / path.name), str(path), path.name)
            aggregate.make_statistic()

    ours = seconds(lambda: [score_case(*pair, SPACING_MM, protocol) for pair in pairs])
    lesions, whole = seconds(lambda: theirs([Metric.DSC])), seconds(lambda: theirs([Metric.DSC, Metric.ASSD]))
    show("lesion metrics", ours, lesions, cases)
    show("with whole-mask distance", ours, whole, cases)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        folders = write_folders(folder, cases)
        ours = seconds(lambda: write_evaluation(evaluate_folder(*folders), folder / "out"))
        show("files to tables", ours, seconds(lambda: aggregator(folders, folder / "panoptica.jsonl")), cases)


def show(what: str, ours: float, theirs: float, cases: int) -> None:
    each = f"{1000 * ours / cases:7.1f} ms against {1000 * theirs / cases:7.1f} ms a case"
    print(f"{what:26s} {each}, ratio {ours / theirs:.2f}", flush=True)


def workers(cases: int) -> None:
    """Wall time of one and of two processes on the same files of 160 x 224 x 192 voxels."""
    with tempfile.TemporaryDirectory() as temporary:
        folders = write_folders(Path(temporary), cases, LARGE)
        one, two = (
            seconds(lambda n=n: evaluate_folder(*folders, processes=n), repeats=2, clock=time.perf_counter)
            for n in (1, 2)
        )
    print(f"{cases} cases: one worker {one:.1f} s, two {two:.1f} s, ratio {one / two:.2f}")


def memory(cases: int) -> None:
    """Peak resident memory of this process while it evaluates more and more cases."""
    with tempfile.TemporaryDirectory() as temporary:
        folders = write_folders(Path(temporary), cases)
        print(f"before: {peak_mb():.0f} MB")
        start = time.perf_counter()
        evaluation = evaluate_folder(*folders)
        print(f"{len(evaluation.cases)} cases, {len(evaluation.lesions)} rows of lesions: peak {peak_mb():.0f} MB, "
              f"{time.perf_counter() - start:.0f} s")  # fmt: skip


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "workers", "memory"))
    parser.add_argument("--cases", type=int)
    arguments = parser.parse_args()
    number = arguments.cases or {"speed": 100, "workers": 300, "memory": 1000}[arguments.what]
    {"speed": speed, "workers": workers, "memory": memory}[arguments.what](number)
