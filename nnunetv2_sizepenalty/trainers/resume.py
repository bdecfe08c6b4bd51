"""Where a training stands within its epoch: kept in every checkpoint, so that `--c` goes on at the very step."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class EpochProgress:
    """The steps of the current epoch that are done.

    Attributes:
        outputs: what train_step returned in each.
        iterations: steps of the whole epoch, known once it has begun.
    """

    outputs: list[dict[str, Any]] = field(default_factory=list, repr=False)
    iterations: int = 0

    @property
    def iteration(self) -> int:
        """How many steps are done."""
        return len(self.outputs)

    def begin(self, iterations: int) -> int:
        """Starts an epoch of so many steps, or goes on with the one that was restored; returns the steps left."""
        self.iterations = iterations
        return iterations - self.iteration

    def end(self) -> None:
        """Ends the epoch: what is saved from here on continues with the next one."""
        self.outputs = []

    def state(self) -> dict[str, Any]:
        """Returns what a checkpoint keeps, plain numbers that any reader may load."""
        outputs = [{key: np.asarray(value).tolist() for key, value in output.items()} for output in self.outputs]
        return {"iteration": self.iteration, "train_outputs": outputs}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Takes over a `state`; 0.1.0 stored NumPy arrays."""
        self.outputs = [
            {key: np.asarray(value, dtype=np.float32) for key, value in output.items()}
            for output in saved["train_outputs"]
        ]


def changed_settings(saved: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """Lists what is not as it was, a text for each value.

    Args:
        saved: what a checkpoint keeps: its `settings`, and its `EpochProgress`.
        settings: the trainer's.
    """
    before = dict(saved["settings"])
    if _holds_rest_of_epoch(saved, settings["iterations_per_epoch"]):
        before["iterations_per_epoch"] = settings["iterations_per_epoch"]
    return [f"{key} {before.get(key)!r} (now {value!r})" for key, value in settings.items() if before.get(key) != value]


def refuse_changed_settings(
    saved: Mapping[str, Any], settings: Mapping[str, Any], filename: str, output_folder: str
) -> None:
    """Ends the process where a checkpoint was trained with other settings; arguments as for `changed_settings`."""
    if changed := changed_settings(saved, settings):
        print(
            f"{filename} was trained with other values: {', '.join(changed)}. Restore them to continue, or move "
            f"{output_folder} away to start anew.",
            file=sys.stderr,
        )
        sys.exit(2)


def _holds_rest_of_epoch(saved: Mapping[str, Any], iterations: int) -> bool:
    """Whether it is a checkpoint of 0.1.0 that says how many steps a continued epoch had left, not how many it has."""
    by_0_1_0 = any(isinstance(output["loss"], (np.ndarray, np.generic)) for output in saved["train_outputs"])
    return by_0_1_0 and 0 < iterations - saved["settings"].get("iterations_per_epoch", iterations) <= saved["iteration"]


def trim_log(logged: Mapping[str, list], epochs: int) -> None:
    """Shortens a log to so many epochs: one that was saved in its middle has logged its start, and logs it again."""
    for values in logged.values():
        del values[epochs:]
