"""SIGTERM and SIGUSR1 of a job scheduler: remembered when they come, acted on by all processes after the same step."""

import os
import signal
from collections import deque
from time import monotonic, sleep
from types import FrameType
from typing import Any

import torch

from nnunetv2_sizepenalty.trainers.processes import are_several, largest_of_all_processes

# later ones are more urgent
SIGNALS = tuple(getattr(signal, name) for name in ("SIGUSR1", "SIGTERM") if hasattr(signal, name))


class JobSignals:
    """Remembers signals until `agreed` asks for the most urgent one."""

    def __init__(self, device: torch.device):
        self.device = device
        self._received: deque[int] = deque()  # 1 + index into SIGNALS of each
        self._handlers: dict[int, Any] = {}

    def catch(self) -> None:
        """Starts remembering; to be called after the loaders' workers were forked, which go on dying of SIGTERM."""
        owner, parent = os.getpid(), os.getppid()

        def remember(number: int, frame: FrameType | None) -> None:
            if os.getpid() == owner:
                self._received.append(1 + SIGNALS.index(number))
            elif number == signal.SIGTERM:
                os._exit(128 + number)

        def interrupted(number: int, frame: FrameType | None) -> None:
            # torch has SIGINT sent to a process whose parent dies, as nnU-Net's does of a job's SIGTERM
            if os.getpid() == owner and _dies(parent):
                remember(signal.SIGTERM, frame)
            elif callable(before):
                before(number, frame)

        before = signal.getsignal(signal.SIGINT)
        self._handlers = {number: signal.signal(number, remember) for number in SIGNALS}
        if are_several():
            self._handlers[signal.SIGINT] = signal.signal(signal.SIGINT, interrupted)

    def release(self) -> None:
        """Gives the signals back to who had them."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}

    def agreed(self) -> signal.Signals | None:
        """Returns the most urgent signal that any process has received since the last call; None where none has.

        Every process must call this after each step: one that left a step early would let the others wait for its
        gradients. The all-reduce of one integer takes half a millisecond at most (two gloo processes on two busy
        cores), and the step before it ended with reading the loss from the device, so that it waits for nothing: not
        worth an answer that is a step old.
        """
        # one at a time: the next signal may come between any two of these lines
        received = [self._received.popleft() for _ in range(len(self._received))]
        urgency = largest_of_all_processes(max(received, default=0), self.device)
        return SIGNALS[urgency - 1] if urgency else None


def _dies(parent: int) -> bool:
    """Whether that process, the parent of this one, is dead within a second: its threads end one after another."""
    end = monotonic() + 1
    while os.getppid() == parent and monotonic() < end:
        sleep(0.01)
    return os.getppid() != parent
