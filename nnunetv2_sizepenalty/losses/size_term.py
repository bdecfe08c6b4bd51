"""The size penalty S as one value: its defaults, its variants, its place in a training. Its formulas: `size_penalty`.

Needs no torch, so that the grammar of trainers' names can make it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

# the thesis's (section 3.6): voxels, highest penalty of a pair, weight beside other terms
TAU: Final = 600.0
CAP: Final = 10.0
WEIGHT: Final = 0.3
# keeps divisions by an empty volume finite, in S as in the overlap terms
SMOOTH: Final = 1e-5
# what a smooth gate leaves of S for the largest lesions (thesis section 6.4)
GATE_FLOOR: Final = 0.1

# tau is to be estimated from the training cases
AUTO: Final = "auto"

Weighting = Literal["fixed", "balanced", "learned"]


@dataclass(frozen=True)
class Millilitres:
    """A volume whose number of voxels a plan's spacing will tell."""

    value: float


@dataclass(frozen=True)
class Gate:
    """Factor on S of each pair: 1 up to a volume, less above it (thesis sections 6.4 and 6.5).

    Attributes:
        voxels: the volume, in mL until the plan is known.
        by: what is held against it, V_g or the detached V_p.
        hard: 0 above it, else down to `floor`.
    """

    voxels: float | Millilitres
    by: Literal["reference", "predicted"] = "reference"
    hard: bool = False
    floor: float = GATE_FLOOR


@dataclass(frozen=True)
class SizeTerm:
    """S of each pair of sample and channel (or lesion): g(V) cap(exp(-V_g / tau) error), and how it is weighted.

    Attributes:
        tau: voxels at which exp(-V_g / tau) has fallen to exp(-1); in mL until the plan is known, `AUTO` until it is
            estimated.
        cap: c, the highest penalty of a pair.
        weight: lambda, the factor on S in the sum; None for `WEIGHT` beside other terms and 1 alone.
        smooth: added to V_g where it divides.
        soft_cap: c (1 - exp(-x / c)), else min(c, x) as in the thesis.
        log_ratio: the error is |log((V_p + 1) / (V_g + 1))|, else relative to V_g as in the thesis.
        gate: g, else 1.
        per_lesion: V_p and V_g are of each lesion and its cell, not of the whole patch.
        weighting: what becomes of `weight`: "fixed", itself; "balanced", the share of its partners' logit gradient
            norms that S's own is held at; "learned", where exp(-s) of exp(-s) S + s starts.
        late_percent: S counts in the last so many per cent of a training alone.
        anneal_epochs: its weight rises from 0 over so many epochs.

    Raises:
        ValueError: tau or cap is not positive, or there is no such weighting.
    """

    tau: float | Millilitres | Literal["auto"] = TAU
    cap: float = CAP
    weight: float | None = None
    smooth: float = SMOOTH
    soft_cap: bool = False
    log_ratio: bool = False
    gate: Gate | None = None
    per_lesion: bool = False
    weighting: Weighting = "fixed"
    late_percent: int | None = None
    anneal_epochs: int | None = None

    def __post_init__(self):
        tau = self.tau.value if isinstance(self.tau, Millilitres) else self.tau
        if (tau != AUTO and tau <= 0) or self.cap <= 0:
            raise ValueError(f"tau and cap must be positive, got tau {tau} and cap {self.cap}")
        if self.weighting not in get_args(Weighting):
            raise ValueError(f"weighting {self.weighting!r} is none of {', '.join(get_args(Weighting))}")

    @property
    def needs_plan(self) -> bool:
        """Whether a volume is in mL, so that `in_voxels` must come first."""
        return isinstance(self.tau, Millilitres) or (
            self.gate is not None and isinstance(self.gate.voxels, Millilitres)
        )

    def in_voxels(self, voxels_of: Callable[[float], float]) -> "SizeTerm":
        """Returns this term with tau and gate in voxels; `voxels_of` turns mL into voxels of a plan.

        >>> SizeTerm(tau=Millilitres(2.0), gate=Gate(Millilitres(5.0))).in_voxels(lambda ml: 125 * ml).gate.voxels
        625.0
        """

        def known(volume):
            return voxels_of(volume.value) if isinstance(volume, Millilitres) else volume

        gate = None if self.gate is None else replace(self.gate, voxels=known(self.gate.voxels))
        return replace(self, tau=known(self.tau), gate=gate)

    def schedule_factor(self, epoch: float, epochs: int) -> float:
        """The factor on the weight of S at a place in a training of `epochs`; 1 without `late` or `anneal`.

        Args:
            epoch: counts the part of one that is done.
            epochs: of the whole training.

        >>> SizeTerm(late_percent=40).schedule_factor(59.9, 100), SizeTerm(anneal_epochs=50).schedule_factor(10, 100)
        (0.0, 0.2)
        """
        if self.late_percent is not None:
            return float(epoch >= epochs * (1 - self.late_percent / 100))
        if self.anneal_epochs is not None:
            return min(1.0, epoch / self.anneal_epochs)
        return 1.0


THESIS: Final = SizeTerm()
