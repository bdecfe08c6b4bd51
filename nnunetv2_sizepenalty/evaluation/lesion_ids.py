"""Masks whose values are lesion ids, so that lesions that touch stay apart."""

import numpy as np

from nnunetv2_sizepenalty.errors import UserError
from nnunetv2_sizepenalty.nnunet_io.classes import Label, Labels

# Which masks hold ids: `Protocol.instances`.
NONE, BOTH = "none", "both"
REFERENCES, PREDICTIONS = "reference", "prediction"
CHOICES = (REFERENCES, PREDICTIONS, BOTH)


def has_ids(instances: str, *, is_reference: bool) -> bool:
    """Tells whether the references, or the predictions, hold lesion ids."""
    return instances in (BOTH, REFERENCES if is_reference else PREDICTIONS)


def lesion_map(label: Label, array: np.ndarray, instances: str, *, is_reference: bool) -> np.ndarray:
    """Makes what `find_instances` takes of a mask's values: the ids as they are, or the label's boolean mask."""
    return array if has_ids(instances, is_reference=is_reference) else label.mask(array)


def foreign_values(labels: Labels, array: np.ndarray, instances: str, *, is_reference: bool) -> str | None:
    """Says which values of a mask are neither labels nor ids, or None."""
    if has_ids(instances, is_reference=is_reference):
        return f"holds ids below 0 ({array.min()}); give ids from 1" if array.min(initial=0) < 0 else None
    unknown = labels.unknown(array)
    return f"holds labels {unknown} that dataset.json does not name" if unknown else None


def check_labels(labels: Labels, instances: str) -> None:
    """Refuses labels that ids can't stand for, by a UserError: several classes, or an ignored value among the ids."""
    if instances != NONE and len(labels.foreground) > 1:
        names = ", ".join(label.name for label in labels.foreground)
        raise UserError(
            f"--instances {instances}: ids are of one class, and dataset.json has {names}; leave out -djfile"
        )
    if labels.ignore is not None and has_ids(instances, is_reference=True):
        raise UserError(
            f"--instances {instances}: dataset.json's ignore label {labels.ignore} could be a lesion's id; "
            "leave out -djfile, or set ignored voxels to 0 in both masks"
        )


def in_words(instances: str, connectivity: int | None) -> str:
    """Says what tells lesions apart, for a protocol's description."""
    if instances == BOTH:
        return "lesions by their ids"
    return f"{connectivity or '18 (2D: 8)'}-connectivity" + (f" ({instances} by ids)" if instances != NONE else "")
