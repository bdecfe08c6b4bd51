"""An operating point: the threshold and the smallest component of each class, for each fold and for the ensemble."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.classes import Labels
from nnunetv2_sizepenalty.nnunet_io.thresholds import DEFAULT_THRESHOLD
from nnunetv2_sizepenalty.operating_point.candidates import NO_FILTER
from nnunetv2_sizepenalty.operating_point.model_folder import read_json

ENSEMBLE = "ensemble"
FORMAT = 1


@dataclass(frozen=True)
class Cut:
    """A class is where its probability is above `threshold`, in components of at least `min_size` (0: all)."""

    threshold: float = DEFAULT_THRESHOLD
    min_size: float = NO_FILTER


@dataclass(frozen=True)
class OperatingPoint:
    """What `apply` and `bake` need of operating_point.json.

    Attributes:
        labels: dataset.json's labels, and `regions_class_order` where it has regions.
        unit: of `Cut.min_size`, "voxels" or "mm3".
        connectivity: of the components.
        cuts: fold or "ensemble" -> class -> cut; a class that is not there is cut as nnU-Net does.
        checkpoint: the checkpoint that was validated.
    """

    labels: Mapping[str, Any]
    unit: str
    connectivity: int
    cuts: Mapping[str, Mapping[str, Cut]]
    regions_class_order: tuple[int, ...] | None = None
    checkpoint: str = "checkpoint_final.pth"
    source: Path = field(default=Path("operating_point.json"), compare=False)

    def cuts_of(self, fold: str, labels: Labels) -> dict[str, Cut]:
        """The cut of every class of `labels`, in their order.

        Raises:
            UserError: the fold isn't in the file.
        """
        if fold not in self.cuts:
            raise UserError(f"{self.source} has no fold {fold}; it has {', '.join(self.cuts)}")
        return {label.name: self.cuts[fold].get(label.name, Cut()) for label in labels.foreground}

    def check_labels(self, dataset_json: Mapping[str, Any], where: Path) -> None:
        """Raises UserError where a model's or prediction's labels are others than those it was chosen on."""
        ours = dict(self.labels), list(self.regions_class_order or ())
        theirs = dict(dataset_json["labels"]), list(dataset_json.get("regions_class_order") or ())
        if ours != theirs:
            raise UserError(f"{self.source} was chosen for labels {ours[0]}, {where} has {theirs[0]}: choose it anew")


def read_operating_point(path: str | Path) -> OperatingPoint:
    """Reads what `threshold` wrote.

    Raises:
        UserError: the file is missing or something else.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "operating_point.json"
    content = read_json(path)
    try:
        if content["format"] != FORMAT:
            raise UserError(f"{path} has format {content['format']}, this version reads {FORMAT}: choose it anew")
        cuts: dict[str, dict[str, Cut]] = {}
        for name, chosen in content["classes"].items():
            for fold, choice in {**chosen["folds"], ENSEMBLE: chosen[ENSEMBLE]}.items():
                cuts.setdefault(fold, {})[name] = Cut(float(choice["threshold"]), float(choice["min_size"]))
        order = content["model"]["regions_class_order"]
        return OperatingPoint(
            labels=content["model"]["labels"],
            unit=content["candidates"]["unit"],
            connectivity=int(content["candidates"]["connectivity"]),
            cuts=cuts,
            regions_class_order=None if order is None else tuple(order),
            checkpoint=content["source"]["checkpoint"],
            source=path,
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"{path} was not written by `nnUNetv2_sizepenalty threshold` ({error!r})") from error
