"""One function over many cases, in several processes, with a progress bar."""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from tqdm import tqdm

from nnunetv2_sizepenalty.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_cases(
    function: Callable[[Item], Result], items: Sequence[Item], *, processes: int, description: str
) -> list[Result]:
    """`[function(item) for item in items]`, in this process where one is enough.

    Args:
        function: picklable, and so are items and results; child processes are spawned (SimpleITK's threads do not
            survive a fork).

    Raises:
        UserError: a child process was killed, which mostly means that the memory was used up.
    """
    workers = min(processes, len(items))
    bar = {"total": len(items), "desc": description, "unit": "case", "disable": None}  # no bar outside a terminal
    if workers <= 1:
        return [function(item) for item in tqdm(items, **bar)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        try:
            # Where there are many items, several travel together: sending one costs about a millisecond.
            chunk = max(1, len(items) // (20 * workers))
            return list(tqdm(pool.map(function, items, chunksize=chunk), **bar))
        except BrokenProcessPool:
            raise UserError(f"a process was killed, perhaps for memory: use fewer than {workers} processes") from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
