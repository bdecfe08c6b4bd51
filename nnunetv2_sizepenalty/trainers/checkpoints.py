"""Checkpoints that survive a killed job: written whole or not at all, by minutes, and on SIGTERM and SIGUSR1."""

import os
import signal
import sys
from time import monotonic
from typing import Any

from nnunetv2_sizepenalty.atomic import atomic_file
from nnunetv2_sizepenalty.nnunet_io.file_names import LATEST


class ResumableCheckpoints:
    """Mixin for nnUNetTrainer: `--c` goes on at the very iteration that was saved last.

    nnU-Net writes `checkpoint_latest.pth` every 50 epochs and in place: a job with a shorter time limit never gets
    anywhere, and one killed while writing leaves a broken file. Here the file is also written every `save_minutes`
    and when the job is told to end (SIGTERM: save and exit with 143; SIGUSR1: save and go on), in the middle of an
    epoch if need be. What a trainer's name means is kept in it (`settings`), and `--c` with other values is refused.
    """

    save_minutes = 10.0

    # iterations done in this epoch, and what their train_step returned
    _iteration = 0
    _train_outputs: list[dict[str, Any]] = []
    _resume: dict[str, Any] | None = None
    _signal: int | None = None
    _handlers: dict[int, Any] = {}

    def save_checkpoint(self, filename: str) -> None:
        if self.local_rank != 0 or self.disable_checkpointing:
            super().save_checkpoint(filename)
            return
        self.my_init_kwargs["size_penalty"] = {
            "settings": self.settings,
            "iteration": self._iteration,
            "train_outputs": self._train_outputs[: self._iteration],
            **self.extra_state(),
        }
        with atomic_file(filename) as temporary:
            super().save_checkpoint(str(temporary))

    def extra_state(self) -> dict[str, Any]:
        """What else a checkpoint is to keep, for `restore_extra_state`."""
        return {}

    def restore_extra_state(self, saved: dict[str, Any]) -> None:
        """Called with what a continued run's checkpoint kept."""

    @property
    def first_iteration(self) -> int:
        """Iterations of its first epoch that a continued run has behind it."""
        return 0 if self._resume is None else self._resume["iteration"]

    def load_checkpoint(self, filename_or_checkpoint) -> None:
        super().load_checkpoint(filename_or_checkpoint)
        saved = self.my_init_kwargs.pop("size_penalty", None)
        if saved is None:
            return
        if self.logger.resume:
            self._refuse_other_settings(saved["settings"], filename_or_checkpoint)
        self._resume = saved
        self.restore_extra_state(saved)
        # an epoch that was saved in its middle has logged its start already, and logs it again
        for values in self.logger.local_logger.my_fantastic_logging.values():
            del values[self.current_epoch :]

    def _refuse_other_settings(self, saved: dict[str, Any], filename: str) -> None:
        changed = [
            f"{key} {saved.get(key)!r} (now {value!r})"
            for key, value in self.settings.items()
            if saved.get(key) != value
        ]
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
        self._catch_signals()

    def on_train_end(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        super().on_train_end()

    def _catch_signals(self) -> None:
        # after the loaders' workers were forked, which must go on dying of SIGTERM
        owner = os.getpid()

        def remember(number, frame):
            if os.getpid() == owner:
                self._signal = number
            elif number == signal.SIGTERM:
                os._exit(128 + number)

        numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name)]
        self._handlers = {number: signal.signal(number, remember) for number in numbers}

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        self._iterations_of_epoch = self.num_iterations_per_epoch
        self._iteration, self._train_outputs = 0, []
        if self._resume is not None:
            self._iteration = self._resume["iteration"]
            self._train_outputs = list(self._resume["train_outputs"])
            self._resume = None
            if self._iteration:
                # nnU-Net's loop reads this number right after this call
                self.num_iterations_per_epoch -= self._iteration
                self.on_epoch_resumed(self._iteration)
                self.print_to_log_file(f"Continuing this epoch after {self._iteration} of its iterations")

    def on_epoch_resumed(self, iteration: int) -> None:
        """Called when an epoch goes on at `iteration`, for what depends on the iteration within the epoch."""

    def iteration_done(self, output: dict[str, Any]) -> None:
        """To be called at the end of every train_step with what it returns."""
        self._iteration += 1
        self._train_outputs.append(output)
        self.save_if_due()

    def save_if_due(self) -> None:
        """Saves `checkpoint_latest.pth` when the minutes have passed or a signal asks for it."""
        received, self._signal = self._signal, None
        if received is None and monotonic() - self._last_save < 60 * self.save_minutes:
            return
        self._last_save = monotonic()
        # nnU-Net stores the epoch to go on with as current_epoch + 1
        self.current_epoch -= 1
        self.save_checkpoint(os.path.join(self.output_folder, LATEST))  # noqa: PTH118
        self.current_epoch += 1
        if received is not None:
            self.print_to_log_file(
                f"{signal.Signals(received).name} received: saved epoch {self.current_epoch} after "
                f"{self._iteration} iterations; continue with --c"
            )
        if received == signal.SIGTERM:
            sys.exit(128 + received)

    def on_train_epoch_end(self, train_outputs: list[dict[str, Any]]) -> None:
        self.num_iterations_per_epoch = self._iterations_of_epoch
        super().on_train_epoch_end(self._train_outputs)

    def validation_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        output = super().validation_step(batch)
        self.save_if_due()
        return output

    def on_epoch_end(self) -> None:
        # what is saved from here on continues with the next epoch
        self._iteration, self._train_outputs = 0, []
        super().on_epoch_end()
