"""One validation case of one fold: where its probabilities come from, and the counts that are kept of it."""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from nnunetv2_sizepenalty.atomic import atomic_file
from nnunetv2_sizepenalty.curves.calibration import CalibrationCounts
from nnunetv2_sizepenalty.evaluation.protocols import Rule
from nnunetv2_sizepenalty.nnunet_io.classes import Label
from nnunetv2_sizepenalty.nnunet_io.model_folder import ModelFolder
from nnunetv2_sizepenalty.operating_point.count_case import COUNTED, CaseCounts
from nnunetv2_sizepenalty.operating_point.grid import ThresholdGrid
from nnunetv2_sizepenalty.operating_point.predict import Prediction

# Raised when counts mean something else, so that stored ones are not taken for new ones.
_COUNTS_VERSION = 2


@dataclass(frozen=True)
class ClassCounts:
    """All that is kept of one class in one case; `thresholds`, increasing, are those of `candidates`."""

    thresholds: np.ndarray
    candidates: CaseCounts
    calibration: CalibrationCounts

    def lacking(self, thresholds: Sequence[float]) -> tuple[float, ...]:
        """Returns those that are not counted, increasing."""
        return tuple(sorted({*thresholds} - {*self.thresholds.tolist()}))

    def with_rows(self, thresholds: Sequence[float], more: CaseCounts) -> "ClassCounts":
        """Returns these counts and those of further thresholds."""
        every = np.concatenate([self.thresholds, thresholds])
        order = np.argsort(every)
        joined = {name: np.concatenate([getattr(self.candidates, name), getattr(more, name)]) for name in COUNTED}
        return ClassCounts(every[order], CaseCounts(**more.as_arrays() | joined).rows(order), self.calibration)

    def on(self, grid: ThresholdGrid) -> CaseCounts:
        """Returns the counts of the grid's thresholds, all of which must be there."""
        return self.candidates.rows(np.searchsorted(self.thresholds, grid.counted_thresholds))


@dataclass(frozen=True)
class ValidationCase:
    """One case of one fold, whose cuts are to be counted.

    Attributes:
        models: their probabilities are averaged.
        grid: sizes and connectivity; thresholds are said when they are counted.
        reference: its reference label map.
        origins: for each model the file that its probabilities come from: an .npz, or the checkpoint that predicts it.
        prediction: how it is predicted; None reads the origins.
        store: where its counts go.
        predicted: folder where the predicted probabilities lie until they are counted.
    """

    models: tuple[ModelFolder, ...]
    fold: str
    name: str
    labels: tuple[Label, ...]
    grid: ThresholdGrid
    detection: Rule
    reference: Path
    origins: tuple[Path, ...]
    prediction: Prediction | None
    store: Path
    predicted: Path

    @property
    def key(self) -> str:
        """Everything but the thresholds that the counts depend on: stored counts with another key are not used."""
        paths = (self.reference, *self.origins)
        files = [(str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns) for p in paths]
        how = None if self.prediction is None else asdict(self.prediction)
        names = ("name", "channel", "values", "painted")
        labels = [{name: getattr(label, name) for name in names} for label in self.labels]
        settings = self.grid.counted_sizes, self.grid.unit, self.grid.connectivity, self.detection.option, labels, how
        return json.dumps([_COUNTS_VERSION, files, settings])

    @property
    def probabilities(self) -> tuple[Path, ...]:
        """The .npz of each model, of which predicted ones need not be there."""
        if self.prediction is None:
            return self.origins
        name = f"{self.name}_{hashlib.sha256(self.key.encode()).hexdigest()[:16]}"
        return tuple(self.predicted / f"{name}_{number}.npz" for number in range(len(self.models)))

    def delete_predicted(self) -> None:
        """Deletes what was predicted."""
        if self.prediction is not None:
            for path in self.probabilities:
                path.unlink(missing_ok=True)

    def save(self, counts: Mapping[str, ClassCounts]) -> None:
        """Stores the counts per class, whole or not at all."""
        arrays: dict[str, np.ndarray] = {}
        for number, label in enumerate(self.labels):
            of_class = counts[label.name]
            arrays[f"{number}.thresholds.thresholds"] = of_class.thresholds
            for part in ("candidates", "calibration"):
                stored = getattr(of_class, part).as_arrays()
                arrays |= {f"{number}.{part}.{name}": array for name, array in stored.items()}
        with atomic_file(self.store) as path:
            np.savez_compressed(path, key=np.array(self.key), **arrays)

    def load(self) -> dict[str, ClassCounts] | None:
        """Reads the stored counts per class; None where there are none that were made for exactly this."""
        try:
            with np.load(self.store) as file:
                if str(file["key"]) != self.key:
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
                of_class["thresholds"]["thresholds"],
                CaseCounts(**of_class["candidates"]),
                CalibrationCounts(**of_class["calibration"]),
            )
            for number, label in enumerate(self.labels)
            for of_class in [parts[str(number)]]
        }
