"""The classes or regions of a data set: their values, the channels of nnU-Net's probabilities, and what is painted.

nnU-Net's rules (`LabelManager`) are written out here, since importing it imports torch, which readers of masks can do
without.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nnunetv2_sizepenalty.errors import UserError

if TYPE_CHECKING:
    from nnunetv2.utilities.label_handling.label_handling import LabelManager


@dataclass(frozen=True)
class Label:
    """A foreground class or region.

    Attributes:
        name: as in dataset.json.
        values: its values in a reference, each once and in order; none means everything above 0.
        channel: its index among the probabilities.
        painted: the value that it gets in a prediction.
        declared: its values as dataset.json lists them, where [1, 1] makes a region of one value.
    """

    name: str
    values: tuple[int, ...] = ()
    channel: int = 0
    painted: int = 1
    declared: tuple[int, ...] = ()

    def mask(self, array: np.ndarray) -> np.ndarray:
        """Returns the boolean mask of a label map's voxels that are of it."""
        if not self.values:
            return array > 0
        if len(self.values) == 1:
            return array == self.values[0]
        return np.isin(array, self.values)


@dataclass(frozen=True)
class Labels:
    """All classes or regions but the background.

    Attributes:
        foreground: in dataset.json's order, in which regions are painted over each other too.
        regions: whether each has a sigmoid channel of its own; else they share a softmax with the background.
        ignore: the reference's value that takes a voxel out of training and evaluation.
    """

    foreground: tuple[Label, ...] = (Label("foreground", channel=1),)
    regions: bool = False
    ignore: int | None = None

    @property
    def by_channel(self) -> tuple[Label, ...]:
        """One for each foreground channel of the probabilities, in the order of the losses' channels."""
        return tuple(label for _, label in sorted({label.channel: label for label in self.foreground}.items()))

    @property
    def channels(self) -> tuple[tuple[int, ...], ...]:
        """The declared values of each, in the order of the losses' channels."""
        return tuple(label.declared for label in self.by_channel)

    @property
    def n_channels(self) -> int:
        """How many channels a model's probabilities have."""
        return len(self.by_channel) + (not self.regions)

    @property
    def overlapping(self) -> bool:
        """Whether a label value belongs to several regions."""
        values = [value for label in self.foreground for value in label.values]
        return len(values) > len(set(values))

    def named(self, names: Sequence[str] | None) -> tuple[Label, ...]:
        """Those of some names, all for None.

        Raises:
            UserError: there is no such name.
        """
        known = {label.name: label for label in self.foreground}
        if unknown := [name for name in names or () if name not in known]:
            raise UserError(f"dataset.json has no class {', '.join(unknown)}; it has {', '.join(known)}")
        return self.foreground if names is None else tuple(known[name] for name in known if name in names)

    def unknown(self, array: np.ndarray) -> list[int]:
        """Values of a label map that are neither of a class or region, nor background, nor ignored."""
        if not all(label.values for label in self.foreground):
            return []
        known = {0, self.ignore, *(value for label in self.foreground for value in label.values)}
        return sorted({int(value) for value in np.unique(array)} - known)


def read_labels(dataset_json: Mapping[str, Any]) -> Labels:
    """Reads dataset.json's labels as nnU-Net's `LabelManager` does.

    Raises:
        UserError: nnU-Net would refuse them.
    """
    try:
        return _labels(dataset_json["labels"], dataset_json.get("regions_class_order"))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else error
        raise UserError(f"dataset.json: nnU-Net refuses its labels ({reason}); mend them") from None


def labels_of(manager: "LabelManager") -> Labels:
    """Reads the labels of nnU-Net's own view of them."""
    return _labels(manager.label_dict, manager.regions_class_order)


def _labels(entries: Mapping[str, Any], order: Sequence[int] | None) -> Labels:
    background, ignore = entries["background"], entries.get("ignore")
    if isinstance(background, (list, tuple)) or int(background) != 0:
        raise ValueError(f"background is {background} and must be 0")
    declared = {
        name: tuple(map(int, entry)) if isinstance(entry, (list, tuple)) else (int(entry),)
        for name, entry in entries.items()
        if name != "ignore"
    }
    values = sorted({value for of_label in declared.values() for value in of_label})
    if ignore is not None and (not isinstance(ignore, int) or ignore != values[-1] + 1):
        raise ValueError(f"ignore is {ignore} and must be the highest value, {values[-1] + 1}")
    foreground = {name: of_label for name, of_label in declared.items() if any(of_label)}
    # nnU-Net takes a list of one value for a plain label
    if not any(isinstance(entry, (list, tuple)) and len(entry) > 1 for entry in entries.values()):
        labels = [Label(name, one, values.index(*one), *one, declared=one) for name, one in foreground.items()]
        return Labels(tuple(labels), False, ignore)
    if order is None or len(order) != len(foreground):
        raise ValueError(f"regions_class_order is {order} and must name a value for each of {len(foreground)} regions")
    labels = [
        Label(name, tuple(sorted(set(of_label))), channel, int(painted), of_label)
        for channel, ((name, of_label), painted) in enumerate(zip(foreground.items(), order, strict=True))
    ]
    return Labels(tuple(labels), True, ignore)
