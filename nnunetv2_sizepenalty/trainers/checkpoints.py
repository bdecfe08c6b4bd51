"""Checkpoints that survive a killed job: written whole or not at all, by minutes, and on SIGTERM and SIGUSR1."""

import os
import signal
import sys
from time import monotonic
from typing import Any

from nnunetv2_sizepenalty.atomic import atomic_file
from nnunetv2_sizepenalty.trainers.job_signals import JobSignals
from nnunetv2_sizepenalty.trainers.processes import wait_for_all_processes
from nnunetv2_sizepenalty.trainers.resume import EpochProgress, changed_settings


class ResumableCheckpoints:
    """Mixin for nnUNetTrainer: `--c` goes on at the very iteration that was saved last.

    nnU-Net writes `checkpoint_latest.pth` every 50 epochs and in place: a job with a shorter time limit never gets
    anywhere, and one killed while writing leaves a broken file. Here the file is also written every `save_minutes`
    and when the job is told to end (SIGTERM: save and exit with 143; SIGUSR1: save and go on), in the middle of an
    epoch if need be. What a trainer's name means is kept in it (`settings`), and `--c` with other values is refused.
    """

    save_minutes = 10.0

    def initialize(self) -> None:
        self.progress = EpochProgress()
        self.signals = JobSignals(self.device)
        super().initialize()

    def save_checkpoint(self, filename: str) -> None:
        if self.local_rank != 0 or self.disable_checkpointing:
            super().save_checkpoint(filename)
            return
        self.my_init_kwargs["size_penalty"] = {
            "settings": self.settings,
            **self.progress.state(),
            **self.extra_state(),
        }
        with atomic_file(filename) as temporary:
            super().save_checkpoint(str(temporary))

    def extra_state(self) -> dict[str, Any]:
        """What else a checkpoint is to keep, for `restore_extra_state`."""
        return {}

    def restore_extra_state(self, saved: dict[str, Any]) -> None:
        """Called with what a continued run's checkpoint kept."""

    def load_checkpoint(self, filename_or_checkpoint) -> None:
        super().load_checkpoint(filename_or_checkpoint)
        saved = self.my_init_kwargs.pop("size_penalty", None)
        if saved is None:
            return
        if self.logger.resume:
            self._refuse_other_settings(saved, filename_or_checkpoint)
        self.progress.restore(saved)
        self.restore_extra_state(saved)
        # an epoch that was saved in its middle has logged its start already, and logs it again
        for values in self.logger.local_logger.my_fantastic_logging.values():
            del values[self.current_epoch :]

    def _refuse_other_settings(self, saved: dict[str, Any], filename: str) -> None:
        changed = changed_settings(saved, self.settings)
        if changed:
            print(
                f"{filename} was trained with other values: {', '.join(changed)}. Restore them to continue, or move "
                f"{self.output_folder} away to start anew.",
                file=sys.stderr,
            )
            sys.exit(2)

    def on_train_start(self) -> None:
        super().on_train_start()
        self._last_save = monotonic()
        self.signals.catch()

    def on_train_end(self) -> None:
        self.signals.release()
        super().on_train_end()

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        # nnU-Net's loop reads this number right after this call; train_step puts it back before anybody else does
        self.num_iterations_per_epoch = self.progress.begin(self.num_iterations_per_epoch)
        if iteration := self.progress.iteration:
            self.on_epoch_resumed(iteration)
            self.print_to_log_file(f"Continuing this epoch after {iteration} of its iterations")

    def restore_iterations(self) -> None:
        """To be called at the start of every train_step."""
        self.num_iterations_per_epoch = self.progress.iterations

    def on_epoch_resumed(self, iteration: int) -> None:
        """Called when an epoch goes on at `iteration`, for what depends on the iteration within the epoch."""

    def iteration_done(self, output: dict[str, Any]) -> None:
        """To be called at the end of every train_step with what it returns."""
        self.progress.outputs.append(output)
        self.save_if_due()

    def save_if_due(self) -> None:
        """Saves `checkpoint_latest.pth` when the minutes have passed or a signal asks for it."""
        received = self.signals.agreed()
        if received is None and monotonic() - self._last_save < 60 * self.save_minutes:
            return
        self._last_save = monotonic()
        # nnU-Net stores the epoch to go on with as current_epoch + 1
        self.current_epoch -= 1
        self.save_checkpoint(os.path.join(self.output_folder, "checkpoint_latest.pth"))  # noqa: PTH118
        self.current_epoch += 1
        if received is not None:
            self.print_to_log_file(
                f"{received.name} received: saved epoch {self.current_epoch} after "
                f"{self.progress.iteration} iterations; continue with --c"
            )
        if received == signal.SIGTERM:
            # torch kills the other processes soon after one has left: the first may still be writing
            wait_for_all_processes()
            sys.exit(128 + received)

    def on_train_epoch_end(self, train_outputs: list[dict[str, Any]]) -> None:
        self.num_iterations_per_epoch = self.progress.iterations
        super().on_train_epoch_end(self.progress.outputs)

    def validation_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        output = super().validation_step(batch)
        self.save_if_due()
        return output

    def on_epoch_end(self) -> None:
        self.progress.end()
        super().on_epoch_end()
