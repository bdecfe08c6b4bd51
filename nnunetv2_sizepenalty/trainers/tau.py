"""`_tau2ml` and `_tauAuto`: a tau that the plan's spacing or the fold's training cases tell."""

from dataclasses import replace
from typing import Any

from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA

from nnunetv2_sizepenalty.losses import DeepSupervision
from nnunetv2_sizepenalty.nnunet_io.classes import labels_of
from nnunetv2_sizepenalty.sampling.lesion_locations import find_lesions
from nnunetv2_sizepenalty.sampling.tau import Volumes, lesion_volumes, median_tau, patch_volumes
from nnunetv2_sizepenalty.trainers.processes import from_first_process


class TauFromData:
    """Mixin for nnUNetTrainer, which sets `tau` where its class attributes say so.

    `tau_ml` is converted with the plan's spacing. With `tau_auto` a new training estimates tau before it starts, and a
    continued one takes its checkpoint's.
    """

    tau_ml: float | None = None
    tau_auto = False
    _tau_is_known = False

    def initialize(self) -> None:
        if self.tau_ml is not None:
            self.tau = self.voxels_of(self.tau_ml)
        super().initialize()

    def on_train_start(self) -> None:
        if not self.was_initialized:
            self.initialize()
        if self.tau_auto and not self._tau_is_known:
            volumes, tau = self._estimate_tau()
            self._use_tau(tau)
            self.print_to_log_file(f"tau is {tau:g} voxels, the median of {volumes}")
        super().on_train_start()

    def _refuse_other_settings(self, saved: dict[str, Any], filename: str) -> None:
        if self.tau_auto and "tau_voxels" in saved:
            self._use_tau(saved["tau_voxels"])
        super()._refuse_other_settings(saved, filename)

    def _use_tau(self, tau: float) -> None:
        self.tau, self._tau_is_known = tau, True
        loss = self.loss.loss if isinstance(self.loss, DeepSupervision) else self.loss
        loss.size_term = replace(loss.size_term, tau=tau)

    def _estimate_tau(self) -> tuple[str, float]:
        """What it is the median of, and tau in voxels; the same in all processes."""
        dataset, _ = self.get_tr_and_val_datasets()

        def estimate() -> tuple[str, float]:
            volumes = self._volumes(dataset)
            return f"{len(volumes.voxels)} {volumes.of}", median_tau(volumes)

        return from_first_process(self, estimate)

    def _volumes(self, dataset) -> Volumes:
        configuration = self.configuration_manager
        if not self.per_lesion:
            return patch_volumes(dataset, self.patch_kinds(configuration), self.label_manager, configuration.batch_size)
        lesions = find_lesions(
            self.preprocessed_dataset_folder,
            dataset.identifiers,
            labels_of(self.label_manager).channels,
            slicewise=len(configuration.patch_size) == 2,
            processes=get_allowed_n_proc_DA(),
        )
        return lesion_volumes(lesions.values())
