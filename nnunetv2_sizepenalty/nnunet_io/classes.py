"""Which channel of nnU-Net's probabilities is which class or region, and how a label map is painted from them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from nnunetv2.utilities.label_handling.label_handling import LabelManager

from nnunetv2_sizepenalty.errors import UserError


@dataclass(frozen=True)
class Target:
    """A foreground class or region.

    Attributes:
        name: as in dataset.json.
        channel: its index among the probabilities.
        values: its label values in the reference.
        painted: the value that it gets in a prediction.
    """

    name: str
    channel: int
    values: tuple[int, ...]
    painted: int

    def mask(self, segmentation: np.ndarray) -> np.ndarray:
        """Where a label map shows it."""
        return np.isin(segmentation, self.values)


@dataclass(frozen=True)
class Heads:
    """What a model's output channels are, in the order in which regions are painted over each other."""

    targets: tuple[Target, ...]
    regions: bool
    ignore_label: int | None = None

    @property
    def n_channels(self) -> int:
        return len(self.targets) + (not self.regions)

    @property
    def overlapping(self) -> bool:
        """Whether a label value belongs to several regions."""
        values = [value for target in self.targets for value in set(target.values)]
        return len(values) > len(set(values))

    def named(self, names: list[str] | None) -> tuple[Target, ...]:
        """The targets of those names, all for None.

        Raises:
            UserError: there is no such name.
        """
        known = {target.name: target for target in self.targets}
        if unknown := [name for name in names or () if name not in known]:
            raise UserError(f"dataset.json has no class {', '.join(unknown)}; it has {', '.join(known)}")
        return self.targets if names is None else tuple(known[name] for name in known if name in names)


def read_heads(dataset_json: dict[str, Any]) -> Heads:
    """The heads that nnU-Net's `LabelManager` makes of dataset.json's labels."""
    labels = dataset_json["labels"]
    manager = LabelManager(labels, regions_class_order=dataset_json.get("regions_class_order"))
    named = [(name, np.unique(value)) for name, value in labels.items() if name != "ignore"]
    named = [(name, tuple(value.tolist())) for name, value in named if value.any()]
    if manager.has_regions:
        targets = [
            Target(name, channel, values, int(painted))
            for channel, ((name, values), painted) in enumerate(zip(named, manager.regions_class_order, strict=True))
        ]
    else:
        channels = [int(label) for label in manager.all_labels]
        targets = [Target(name, channels.index(values[0]), values, values[0]) for name, values in named]
    return Heads(tuple(targets), manager.has_regions, manager.ignore_label)
