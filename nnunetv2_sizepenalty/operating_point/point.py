"""An operating point: what operating_point.json holds, as it is written, read, printed, drawn and applied."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from nnunetv2_sizepenalty.atomic import atomic_file
from nnunetv2_sizepenalty.curves.calibration import Calibration
from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.evaluation.nan_json import Number, read_record, to_json
from nnunetv2_sizepenalty.evaluation.sized import as_tree
from nnunetv2_sizepenalty.nnunet_io.classes import Labels
from nnunetv2_sizepenalty.nnunet_io.json_file import read_json
from nnunetv2_sizepenalty.operating_point.choose import Choice, CrossFit
from nnunetv2_sizepenalty.operating_point.grid import Cut, ThresholdGrid
from nnunetv2_sizepenalty.operating_point.objective import Objective

ENSEMBLE = "ensemble"
FORMAT = 1
FILE = "operating_point.json"


def file_name(objective: Objective, *, first: bool) -> str:
    """Names the file of one of several objectives."""
    return FILE if first else f"operating_point_{str(objective).replace(':', '_')}.json"


@dataclass(frozen=True)
class ChosenModel:
    """The model that the point is for; `labels` and `regions_class_order` (where it has regions) are dataset.json's."""

    folder: str
    dataset: str
    trainer: str
    plans: str
    configuration: str
    labels: dict[str, Any]
    regions_class_order: tuple[int, ...] | None


@dataclass(frozen=True)
class Source:
    """What the point was chosen on.

    Attributes:
        probabilities: "npz" of nnU-Net's validation, or "predicted".
        checkpoint: the checkpoint that was validated.
        step_size: of the sliding window.
        references: folder of the reference label maps.
        cases: fold -> its validation cases.
    """

    probabilities: str
    checkpoint: str
    step_size: float
    references: str
    cases: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class ClassPoint:
    """One class or region.

    Attributes:
        values: of the label maps that it is made of.
        ensemble: chosen on the cases of all folds together.
        folds: fold -> chosen on its own cases.
        cross_fit: fold or "mean" -> what the choice is worth; None where that wasn't asked for.
        table: a row for each cut of each fold and the ensemble, see `Scores.rows`.
    """

    values: tuple[int, ...]
    ensemble: Choice
    folds: dict[str, Choice]
    cross_fit: dict[str, CrossFit] | None
    calibration: Calibration
    table: list[dict[str, str | int | Number]]

    @property
    def choices(self) -> dict[str, Choice]:
        """Fold -> choice, "ensemble" last."""
        return {**self.folds, ENSEMBLE: self.ensemble}


@dataclass(frozen=True)
class OperatingPoint:
    """The threshold and the smallest component of each class, for each fold and for the ensemble.

    Attributes:
        format, version: of the file, and of the package that wrote it.
        objective: what was chosen for, as `--objective` takes it; `better` is "higher" or "lower".
        candidates: among what.
        classes: class or region -> what was chosen.
        detection: when a lesion counts as detected, as `--detection` takes it; 0.1.0 knew any overlap alone.
        averaged_with: further models, whose probabilities are averaged with `model`'s before the cut.
        path: the file; it is not part of its content.
    """

    format: int
    version: str
    model: ChosenModel
    objective: str
    better: str
    candidates: ThresholdGrid
    source: Source
    classes: dict[str, ClassPoint]
    detection: str = "overlap"
    averaged_with: tuple[ChosenModel, ...] = ()
    path: Path = field(default=Path(FILE), compare=False)

    @cached_property
    def cuts(self) -> dict[str, dict[str, Cut]]:
        """Fold or "ensemble" -> class -> cut."""
        cuts: dict[str, dict[str, Cut]] = {}
        for name, chosen in self.classes.items():
            for fold, choice in chosen.choices.items():
                cuts.setdefault(fold, {})[name] = choice.cut
        return cuts

    def cuts_of(self, fold: str, labels: Labels) -> dict[str, Cut]:
        """Returns the cut of each of `labels`, in their order; nnU-Net's own where none was chosen.

        Raises:
            UserError: the fold isn't in the file.
        """
        if fold not in self.cuts:
            raise UserError(f"{self.path} has no fold {fold}; it has {', '.join(self.cuts)}")
        return {label.name: self.cuts[fold].get(label.name, Cut()) for label in labels.foreground}

    def check_labels(self, dataset_json: Mapping[str, Any], where: Path) -> None:
        """Raises UserError where a model's or prediction's labels are others than those it was chosen on."""
        ours = dict(self.model.labels), list(self.model.regions_class_order or ())
        theirs = dict(dataset_json["labels"]), list(dataset_json.get("regions_class_order") or ())
        if ours != theirs:
            raise UserError(f"{self.path} was chosen for labels {ours[0]}, {where} has {theirs[0]}: choose it anew")

    def to_json(self) -> str:
        """Returns the text of operating_point.json."""
        content = as_tree(self)
        del content["path"]
        return to_json(content)

    def write(self) -> None:
        """Writes operating_point.json to `path`, whole or not at all."""
        with atomic_file(self.path) as path:
            path.write_text(self.to_json(), encoding="utf-8")


def read_operating_point(path: str | Path) -> OperatingPoint:
    """Reads what `threshold` wrote: the file, or the folder that it is in.

    Raises:
        UserError: the file is missing or something else.
    """
    path = Path(path)
    if path.is_dir():
        path = path / FILE
    content = read_json(path)
    if isinstance(content, dict) and content.get("format", FORMAT) != FORMAT:
        raise UserError(f"{path} has format {content['format']}, this version reads {FORMAT}: choose it anew")
    try:
        return replace(read_record(OperatingPoint, content), path=path)
    except ValueError as error:
        raise UserError(f"{path} was not written by `nnUNetv2_sizepenalty threshold` ({error})") from error
