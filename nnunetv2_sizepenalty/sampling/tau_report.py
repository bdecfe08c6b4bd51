"""What the command `tau` reports: V_g of a fold's training cases, weights, and a suggestion."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunetv2_sizepenalty.lesions import voxels_to_ml
from nnunetv2_sizepenalty.sampling.choose_tau import PERCENTILES, VolumeSample, gated_tau, median_tau, modifier, weights


@dataclass(frozen=True)
class TauReport:
    """Volumes of a fold's training cases and what they say of tau.

    Attributes:
        dataset, plans, configuration, fold, trainer: names; the trainer is whose patches were drawn.
        n_cases: training cases.
        spacing_mm: of the plan, (z, y, x); None where the images are of pixels and have no volume.
        patches, lesions: V_g of patches and of single lesions.
        per_lesion: whether the suggestion is for S of each lesion.
        tau: what the weights are shown for, in voxels.
        gate_ml, gate_voxels: the volume whose weight settles the suggestion; None for the median.
    """

    dataset: str
    plans: str
    configuration: str
    fold: str
    trainer: str
    n_cases: int
    spacing_mm: tuple[float, ...] | None
    patches: VolumeSample
    lesions: VolumeSample
    per_lesion: bool
    tau: float
    gate_ml: float | None = None
    gate_voxels: float | None = None

    @property
    def suggested(self) -> float:
        """tau in whole voxels.

        Raises:
            UserError: there is no lesion to take it from.
        """
        if self.gate_voxels is not None:
            return gated_tau(self.gate_voxels)
        return median_tau(self.lesions if self.per_lesion else self.patches)

    @property
    def reason(self) -> str:
        """Where the suggestion comes from, for people."""
        if self.gate_voxels is not None:
            (weight,) = weights([self.gate_voxels], self.suggested)
            return f"{self.gate_ml:g} mL, {self.gate_voxels:.0f} voxels, then weigh {weight:.3f}"
        return f"the median of the {(self.lesions if self.per_lesion else self.patches).of}"

    @property
    def share_with_a_lesion(self) -> float:
        """Of the patches that were drawn."""
        return len(self.patches.voxels) / self.patches.drawn

    @property
    def unit(self) -> str:
        return "voxels" if self.spacing_mm else "pixels"

    def ml(self, voxels: float) -> float:
        """mL of that many voxels of the plan."""
        return voxels_to_ml(voxels, self.spacing_mm)

    def rows(self, volumes: VolumeSample) -> list[dict[str, float]]:
        """Of each percentile the volume, in mL too where there is one, its weight for `tau` and for the suggestion."""
        return [
            {
                "percentile": percent,
                self.unit: (at := volumes.percentile(percent)),
                **({"ml": self.ml(at)} if self.spacing_mm else {}),
                "weight": float(weights([at], self.tau)[0]),
                "weight_suggested": float(weights([at], self.suggested)[0]),
            }
            for percent in PERCENTILES
            if len(volumes.voxels)
        ]

    def as_dict(self) -> dict[str, Any]:
        """All of it, for a JSON file."""
        return {
            **{key: getattr(self, key) for key in ("dataset", "plans", "configuration", "fold", "trainer", "n_cases")},
            "spacing_mm": self.spacing_mm,
            **{
                key: {"n": len(volumes.voxels), "drawn": volumes.drawn, "percentiles": self.rows(volumes)}
                for key, volumes in (("patches", self.patches), ("lesions", self.lesions))
            },
            "tau": self.tau,
            "suggested": {"tau": self.suggested, "modifier": modifier(self.suggested), "reason": self.reason},
        }

    def write_json(self, path: Path) -> None:
        path.write_text(json.dumps(self.as_dict(), indent=2) + "\n")
