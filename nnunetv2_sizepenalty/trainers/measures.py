"""What the training log says beside nnU-Net's: a few numbers of each step, and of them the values of an epoch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from nnunetv2_sizepenalty.lesions import SizeBins, Spacing, size_of, size_unit
from nnunetv2_sizepenalty.losses import Record
from nnunetv2_sizepenalty.losses.formulas import relative_volume_error


def gradient_ratio(norms: Mapping[str, float]) -> float:
    """Norm of the size penalty's logit gradient over the sum of its partners', lambda applied; NaN without gradient."""
    partners = sum(norm for letter, norm in norms.items() if letter != "S")
    return norms["S"] / partners if partners else math.nan


@dataclass(frozen=True)
class Measures:
    """The numbers that are taken of each step, as a vector, and what becomes of them in an epoch.

    Attributes:
        letters: of the loss terms.
        spacing_mm: of the patches' voxels.
        learned: whether the weight of S is.
        per_lesion: whether S is.
    """

    letters: tuple[str, ...]
    spacing_mm: Spacing | tuple[float, ...]
    learned: bool = False
    per_lesion: bool = False

    @property
    def bins(self) -> SizeBins:
        """Of the lesion volume in a patch."""
        unit = size_unit(self.spacing_mm)
        return SizeBins(unit.edges, unit)

    @property
    def train_terms(self) -> dict[str, str]:
        """Letter -> key of its value in training."""
        return {letter: f"train_terms/{letter}" for letter in self.letters}

    @property
    def val_terms(self) -> dict[str, str]:
        """Letter -> key of its value in validation."""
        return {letter: f"val_terms/{letter}" for letter in self.letters}

    @property
    def volume_errors(self) -> dict[str, str]:
        """Bin -> key of the validation patches' relative volume error."""
        return {name: f"val_volume_error/{name}" for name in self.bins.names}

    @property
    def shares(self) -> dict[str, str]:
        """Key -> what it says, of the values between 0 and 1 (the ratio may exceed it)."""
        shares = {"lesion_positive": "samples with a lesion"}
        if "S" in self.letters:
            shares["saturated"] = ("lesions" if self.per_lesion else "of these") + " at the cap of S"
            if len(self.letters) > 1:
                shares["gradient_ratio"] = "gradient of S / partners'"
        shares["clipped"] = "steps clipped"
        return shares

    @property
    def weights(self) -> dict[str, str]:
        """Key -> what it says of the weight of S."""
        weights = {"size_weight": "Weight of S"} if "S" in self.letters else {}
        return weights | ({"learned_s": "s"} if self.learned else {})

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys, one value an epoch each."""
        return (
            *self.train_terms.values(),
            *self.val_terms.values(),
            *self.shares,
            *self.weights,
            *self.volume_errors.values(),
            "data_wait_s",
        )

    def of_step(self, record: Record, clipped: float, ratio: float, wait_s: float) -> np.ndarray:
        """A training step's numbers; NaN stands for what was not looked at."""
        nothing = record.predicted.new_tensor(math.nan)
        of_size = (record.penalised, record.saturated, record.size_weight)
        counts = [nothing if value is None else value.sum() for value in (record.positive, *of_size)]
        counts = torch.stack([count.float() for count in counts])
        counted = torch.cat([self._terms(record), counts]).cpu().numpy()
        return np.append(counted, [record.positive.numel(), clipped, ratio, wait_s]).astype(np.float32)

    def of_validation_step(self, record: Record) -> np.ndarray:
        """A validation step's numbers: terms, and for each bin the sum of the relative volume errors and their count.

        The error is that of the soft volume, which is what S sees, in patches that hold a lesion.
        """
        errors = relative_volume_error(record.predicted, record.reference)[record.positive].cpu().numpy()
        sizes = size_of(record.reference[record.positive].cpu().numpy(), self.spacing_mm)
        index, n_bins = self.bins.index(sizes), len(self.bins.names)
        sums = np.bincount(index, weights=errors, minlength=n_bins)
        return np.concatenate(
            [self._terms(record).cpu().numpy(), sums, np.bincount(index, minlength=n_bins)], dtype=np.float32
        )

    def _terms(self, record: Record) -> torch.Tensor:
        return torch.stack([record.terms[letter].float() for letter in self.letters])

    def of_epoch(
        self, steps: Sequence[np.ndarray], validation_steps: Sequence[np.ndarray], learned_s: float = math.nan
    ) -> dict[str, float]:
        """Value of each of `keys`, NaN where there is nothing to say.

        Args:
            steps: `of_step` of all steps, of all processes.
            validation_steps: `of_validation_step` likewise.
            learned_s: s at the epoch's end, where the weight of S is learned.
        """
        n, n_bins = len(self.letters), len(self.bins.names)
        train = np.reshape(steps, (-1, n + 8)).astype(np.float64)
        validation = np.reshape(validation_steps, (-1, n + 2 * n_bins)).astype(np.float64)
        positive, penalised, saturated, weight, pairs, clipped, ratio, wait_s = train[:, n:].T
        errors, counts = validation[:, n : n + n_bins].sum(0), validation[:, n + n_bins :].sum(0)
        values = {
            **dict(zip(self.train_terms.values(), map(_mean, train[:, :n].T), strict=True)),
            **dict(zip(self.val_terms.values(), map(_mean, validation[:, :n].T), strict=True)),
            "lesion_positive": _ratio(positive.sum(), pairs.sum()),
            "clipped": _mean(clipped),
            "saturated": _ratio(saturated.sum(), penalised.sum()),
            "gradient_ratio": _mean(ratio),
            "size_weight": _mean(weight),
            "learned_s": learned_s,
            **dict(zip(self.volume_errors.values(), map(_ratio, errors, counts), strict=True)),
            "data_wait_s": float(wait_s.sum()),
        }
        return {key: values[key] for key in self.keys}

    def lines(self, values: Mapping[str, float]) -> list[str]:
        """An epoch's values as lines of the training log."""
        terms = (
            f"{letter} {_number(values[self.train_terms[letter]])} / {_number(values[self.val_terms[letter]])}"
            for letter in self.letters
        )
        shares = (f"{meaning} {_number(values[key])}" for key, meaning in self.shares.items())
        weights = ", ".join(f"{meaning} {_number(values[key])}" for key, meaning in self.weights.items())
        errors = (f"{name} {_number(values[key])}" for name, key in self.volume_errors.items())
        return [
            "Terms, training / validation: " + ", ".join(terms),
            "Shares: " + ", ".join(shares),
            *([weights] if weights else []),
            "Relative volume error of validation patches: " + ", ".join(errors),
            f"Waited for data: {values['data_wait_s']:.1f} s",
        ]


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else math.nan


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}"
