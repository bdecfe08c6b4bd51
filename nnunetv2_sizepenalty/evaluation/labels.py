"""Which voxels of a mask are evaluated together: dataset.json's labels or regions, or everything above 0."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nnunetv2_sizepenalty.errors import UserError


@dataclass(frozen=True)
class Label:
    """A label or region: its name and its values in the masks (none: everything above 0)."""

    name: str
    values: tuple[int, ...] = ()

    def mask(self, array: np.ndarray) -> np.ndarray:
        """The boolean mask of this label."""
        if not self.values:
            return array > 0
        if len(self.values) == 1:
            return array == self.values[0]
        return np.isin(array, self.values)


@dataclass(frozen=True)
class Labels:
    """All labels to evaluate, and the reference's value that takes a voxel out of the evaluation (nnU-Net's ignore)."""

    labels: tuple[Label, ...] = (Label("foreground"),)
    ignore: int | None = None

    def unknown(self, array: np.ndarray) -> list[int]:
        """Values of an array that no label, nor background nor ignore, names."""
        if not self.labels[0].values:
            return []
        known = {0, *(value for label in self.labels for value in label.values)}
        if self.ignore is not None:
            known.add(self.ignore)
        return sorted({int(value) for value in np.unique(array)} - known)


def read_dataset_json(path: str | Path) -> dict:
    """The content of nnU-Net's dataset.json; UserError where it is none."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        content["labels"]["background"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: no nnU-Net dataset.json ({error!r}); name one with labels and file_ending") from None
    return content


def labels_from_dataset_json(content: dict) -> Labels:
    """Labels or regions as nnU-Net's LabelManager reads them, in dataset.json's order."""
    from nnunetv2.utilities.label_handling.label_handling import LabelManager

    try:
        manager = LabelManager(content["labels"], content.get("regions_class_order"))
    except (AssertionError, RuntimeError) as error:
        raise UserError(f"dataset.json: nnU-Net refuses its labels ({error}); mend them") from None
    foreground = manager.foreground_regions if manager.has_regions else manager.foreground_labels
    wanted = {_values(entry) for entry in foreground}
    named = [
        Label(name, _values(entry))
        for name, entry in content["labels"].items()
        if name != "ignore" and _values(entry) in wanted
    ]
    return Labels(tuple(named), manager.ignore_label)


def _values(entry: int | list[int] | tuple[int, ...]) -> tuple[int, ...]:
    values = entry if isinstance(entry, list | tuple) else [entry]
    return tuple(sorted({int(value) for value in values}))
