"""Evaluates two folders of masks."""

from collections.abc import Sequence
from pathlib import Path

from nnunetv2_sizepenalty.evaluation.protocols import Protocol
from nnunetv2_sizepenalty.evaluation.records import Evaluation


def evaluate_folder(
    reference_folder: str | Path,
    prediction_folder: str | Path,
    *,
    dataset_json: str | Path | None = None,
    protocol: Protocol | str = "default",
    bins_ml: Sequence[float] = (1.0, 5.0),
    groups: str | Path | None = None,
    allow_missing: bool = False,
    processes: int = 1,
) -> Evaluation:
    """Pairs the masks of two folders by name and computes every table."""
    raise NotImplementedError
