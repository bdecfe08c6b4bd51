"""What a trainer's name says of S: its variant, its weight, and when it counts."""

import sys
from typing import Any

from nnunetv2_sizepenalty.losses import Gate
from nnunetv2_sizepenalty.nnunet_io.spacing import planned_voxels
from nnunetv2_sizepenalty.trainers.schedule import anneal_factor, late_factor

_VARIANTS = ("per_lesion", "soft_cap", "log_ratio")
_GATES = ("gate_ml", "predicted_gate_ml", "hard_gate_ml")
_SCHEDULES = ("late_percent", "anneal_epochs")


class SizeTermOptions:
    """Mixin for nnUNetTrainer; the class attributes are what the modifiers of S set (`names.MODIFIERS`)."""

    tau = 600.0
    cap = 10.0
    size_weight: float | None = None
    per_lesion = False
    soft_cap = False
    log_ratio = False
    gate_ml: float | None = None
    predicted_gate_ml: float | None = None
    hard_gate_ml: float | None = None
    late_percent: int | None = None
    anneal_epochs: int | None = None
    weighting = "fixed"

    @property
    def size_settings(self) -> dict[str, Any]:
        """For the log and the checkpoint: tau, cap, and what differs from the thesis."""
        named = {name: getattr(self, name) for name in (*_VARIANTS, *_GATES, *_SCHEDULES) if getattr(self, name)}
        if (gate := self._gate()) is not None:
            named["gate_voxels"] = gate.voxels
        if self.weighting != "fixed":
            named["weighting"] = self.weighting
        return {"tau_voxels": self.tau, "cap": self.cap, **named}

    def size_options(self) -> dict[str, Any]:
        """Arguments of `build_loss`."""
        return {
            "tau": self.tau,
            "cap": self.cap,
            "soft_cap": self.soft_cap,
            "log_ratio": self.log_ratio,
            "per_lesion": self.per_lesion,
            "gate": self._gate(),
            "weighting": self.weighting,
        }

    def _gate(self) -> Gate | None:
        ml = self.gate_ml or self.predicted_gate_ml or self.hard_gate_ml
        if ml is None:
            return None
        by = "reference" if self.predicted_gate_ml is None else "predicted"
        return Gate(self.voxels_of(ml), by=by, hard=self.hard_gate_ml is not None)

    def voxels_of(self, ml: float) -> float:
        """Voxels of the plan that a modifier's mL are; ends the process where the images have no volume."""
        try:
            return planned_voxels(ml, self.plans_manager, self.configuration_manager)
        except ValueError as error:
            print(f"{type(self).__name__}: {error}", file=sys.stderr)
            sys.exit(2)

    def initialize(self) -> None:
        super().initialize()
        self.loss.to(self.device)
        self._scheduled_weight = self.loss.weights.get("S")
        if self.loss.learned is not None:
            # as the network's parameters, learning rate and schedule included, but without decay to 0
            like = {key: value for key, value in self.optimizer.param_groups[0].items() if key != "params"}
            self.optimizer.add_param_group(
                {**like, "params": list(self.loss.learned.parameters()), "weight_decay": 0.0}
            )

    def schedule_size_term(self) -> None:
        """Sets the weight of S for the training step to come."""
        if self.late_percent is None and self.anneal_epochs is None:
            return
        epoch = self.current_epoch + self.progress.iteration / self.progress.iterations
        if self.late_percent is not None:
            factor = late_factor(epoch, self.num_epochs, self.late_percent)
        else:
            factor = anneal_factor(epoch, self.anneal_epochs)
        self.loss.weights["S"] = self._scheduled_weight * factor

    def extra_state(self) -> dict[str, Any]:
        return super().extra_state() | {"loss": self.loss.state_dict()}

    def restore_extra_state(self, saved: dict[str, Any]) -> None:
        super().restore_extra_state(saved)
        self.loss.load_state_dict(saved.get("loss", {}))
