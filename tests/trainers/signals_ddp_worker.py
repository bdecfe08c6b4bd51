"""Two gloo processes, started as nnU-Net starts its own, that train until a signal stops both.

Argument: a folder. Each process writes its id to `pid<rank>` and, when it leaves, the number of its steps to
`left<rank>`; the first one saves for `SAVE_S` before.
"""

import os
import signal
import sys
import time
from pathlib import Path

import torch
from torch import distributed, multiprocessing

from nnunetv2_sizepenalty.trainers.job_signals import JobSignals
from nnunetv2_sizepenalty.trainers.processes import wait_for_all_processes

SAVE_S = 2


def train(rank: int, folder: Path) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{folder / 'rendezvous'}", rank=rank, world_size=2)
    signals = JobSignals(torch.device("cpu"))
    signals.catch()
    steps, gradient = 0, torch.zeros(1)
    (folder / f"pid{rank}").write_text(str(os.getpid()))
    while True:
        distributed.all_reduce(gradient)
        steps += 1
        if signals.agreed() == signal.SIGTERM:
            break
    if rank == 0:
        time.sleep(SAVE_S)
    (folder / f"left{rank}").write_text(str(steps))
    wait_for_all_processes()
    sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    multiprocessing.spawn(train, (Path(sys.argv[1]),), nprocs=2)
