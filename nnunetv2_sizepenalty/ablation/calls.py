"""What a stage does: one of nnU-Net's commands, or a function of this package and its arguments.

`what` and `how` are what a user would type for the same, made from the arguments: `what` is all that a result depends
on, `how` the rest, such as device and processes. What a call prints goes into the run's log.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from nnunetv2_sizepenalty.evaluation.protocols import SHARE
from nnunetv2_sizepenalty.lesions import PX
from nnunetv2_sizepenalty.nnunet_io.probabilities import VALIDATION_STEP

OURS = "nnUNetv2_sizepenalty"
Words = tuple[str, ...]


@dataclass(frozen=True)
class NnunetCommand:
    """A command of nnU-Net, which runs as a process of its own."""

    what: Words
    how: Words = ()


class Call(Protocol):
    """A function of this package; calling it raises UserError where its input or its folder is unusable."""

    @property
    def what(self) -> Words: ...

    @property
    def how(self) -> Words: ...

    def __call__(self) -> None: ...


@dataclass(frozen=True)
class Rules:
    """How masks and probabilities are scored; without `bins_px` photographs have the usual edges."""

    dataset_json: Path
    protocol: str
    bins_ml: tuple[float, ...]
    bins_px: tuple[float, ...] | None = None

    @property
    def words(self) -> Words:
        words = ["-djfile", str(self.dataset_json), "--protocol", self.protocol]
        for option, edges in (("--bins-ml", self.bins_ml), ("--bins-px", self.bins_px)):
            if edges is not None:
                words += [option, *(f"{edge:g}" for edge in edges)]
        return tuple(words)

    @property
    def arguments(self) -> dict:
        # Both, since a matrix may hold datasets with and without a spacing.
        bins = {"bins_ml": self.bins_ml, "bins_px": PX.edges if self.bins_px is None else self.bins_px}
        return {"dataset_json": self.dataset_json, "protocol": self.protocol} | bins


@dataclass(frozen=True)
class ScoreProbabilities:
    """Detection at every threshold and calibration of saved probabilities."""

    references: Path
    probabilities: Path
    output: Path
    rules: Rules
    processes: int

    @property
    def what(self) -> Words:
        folders = ("-ref", str(self.references), "-probabilities", str(self.probabilities), "-o", str(self.output))
        # the default, but part of the key of the result: 0.1.0 counted lesions by any overlap
        return (OURS, "froc", *folders, *self.rules.words, "--detection", SHARE.option)

    @property
    def how(self) -> Words:
        return ("-np", str(self.processes))

    def __call__(self) -> None:
        from nnunetv2_sizepenalty.curves.froc import headlines, write_froc
        from nnunetv2_sizepenalty.curves.froc_folder import evaluate_probabilities

        froc = evaluate_probabilities(
            self.references, self.probabilities, **self.rules.arguments, detection=SHARE, processes=self.processes
        )
        write_froc(froc, self.output)
        print(*headlines(froc), f"wrote {self.output}", sep="\n")


@dataclass(frozen=True)
class Evaluate:
    """Scores of masks, and their report."""

    references: Path
    predictions: Path
    output: Path
    images: Path
    rules: Rules
    processes: int

    @property
    def what(self) -> Words:
        folders = ("-ref", str(self.references), "-pred", str(self.predictions), "-o", str(self.output))
        return (OURS, "evaluate", *folders, "--images", str(self.images), *self.rules.words)

    @property
    def how(self) -> Words:
        return ("-np", str(self.processes))

    def __call__(self) -> None:
        from nnunetv2_sizepenalty.evaluation.folder import evaluate_folder
        from nnunetv2_sizepenalty.evaluation.records import write_evaluation
        from nnunetv2_sizepenalty.report import write_report
        from nnunetv2_sizepenalty.report.terminal import result_lines

        evaluation = evaluate_folder(
            self.references, self.predictions, **self.rules.arguments, processes=self.processes
        )
        write_evaluation(evaluation, self.output)
        report = write_report(
            self.output,
            evaluation,
            reference_folder=self.references,
            prediction_folder=self.predictions,
            images_folder=self.images,
        )
        print(*result_lines(evaluation.summary, report), sep="\n")


@dataclass(frozen=True)
class ChoosePoint:
    """The operating point on the validation cases of some folds; with nnU-Net's own step from the .npz of these."""

    model: Path
    output: Path
    folds: tuple[int, ...]
    thresholds: tuple[float, ...] | Literal["dense", "data"]
    min_voxels: tuple[float, ...]
    objective: str
    step_size: float
    device: str
    processes: int

    @property
    def _predicts(self) -> bool:
        return self.step_size != VALIDATION_STEP

    @property
    def what(self) -> Words:
        from nnunetv2_sizepenalty.evaluation.protocols import SHARE
        from nnunetv2_sizepenalty.operating_point import Objective

        thresholds = [self.thresholds] if isinstance(self.thresholds, str) else self.thresholds
        # part of the key of the result where it matters: 0.1.0 chose by any overlap
        detection = ("--detection", SHARE.option) if Objective.parse(self.objective).counts_lesions else ()
        return (
            *(OURS, "threshold", str(self.model), "-o", str(self.output), "-f", *map(str, self.folds)),
            *("--thresholds", *map(str, thresholds), "--min-voxels", *(f"{size:g}" for size in self.min_voxels)),
            *("--objective", self.objective, *detection),
            *(("--predict", "--step-size", str(self.step_size)) if self._predicts else ()),
        )

    @property
    def how(self) -> Words:
        return (*(("-device", self.device) if self._predicts else ()), "-np", str(self.processes))

    def __call__(self) -> None:
        from nnunetv2_sizepenalty.nnunet_io.model_folder import ModelFolder
        from nnunetv2_sizepenalty.operating_point import (
            Objective,
            Prediction,
            choose_operating_point,
            make_grid,
        )
        from nnunetv2_sizepenalty.operating_point.terminal import print_point

        point = choose_operating_point(
            ModelFolder(self.model),
            self.output,
            folds=[str(fold) for fold in self.folds],
            grid=make_grid(self.thresholds, min_voxels=self.min_voxels),
            objective=Objective.parse(self.objective),
            prediction=Prediction(step_size=self.step_size, device=self.device) if self._predicts else None,
            processes=self.processes,
        )
        print_point(point)


@dataclass(frozen=True)
class Apply:
    """The label maps of saved probabilities at an operating point."""

    probabilities: Path
    output: Path
    point: Path
    processes: int

    @property
    def what(self) -> Words:
        folders = ("-i", str(self.probabilities), "-o", str(self.output))
        return (OURS, "apply", *folders, "--operating-point", str(self.point))

    @property
    def how(self) -> Words:
        return ("-np", str(self.processes))

    def __call__(self) -> None:
        from nnunetv2_sizepenalty.operating_point import apply_folder, read_operating_point

        point = read_operating_point(self.point)
        n = apply_folder([self.probabilities], self.output, point, processes=self.processes)
        print(f"{n} label maps in {self.output}")


@dataclass(frozen=True)
class Compare:
    """The comparison of whole models: model -> its folders, one for each fold and repeat; the first is the baseline."""

    evaluations: Mapping[str, tuple[Path, ...]]
    frocs: Mapping[str, tuple[Path, ...]]
    results: Mapping[str, tuple[Path, ...]]
    output: Path
    how: Words = ()

    @property
    def what(self) -> Words:
        def named(folders: Mapping[str, tuple[Path, ...]]) -> list[str]:
            return [f"{name}={','.join(map(str, paths))}" for name, paths in folders.items()]

        return (
            *(OURS, "compare", *named(self.evaluations), "-o", str(self.output)),
            *("--froc", *named(self.frocs), "--results", *named(self.results)),
        )

    def __call__(self) -> None:
        from nnunetv2_sizepenalty.comparison import write_comparison

        page = write_comparison(self.output, self.evaluations, frocs=self.frocs, results=self.results)
        print(f"see {page}")
