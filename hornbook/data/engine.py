"""Work on many cores of one machine: results in order, memory bounded, same output.

Stage functions know nothing of it; another engine only needs another :func:`ordered_map`.
"""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    processes: bool,
) -> Iterator[Result]:
    """``function`` of every item, in their order, at most ``3 * workers`` at a time.

    ``processes`` for Python work (items and results are copied); threads for compiled loops
    that release the interpreter's lock. One worker works right here.
    """
    if workers <= 1:
        yield from map(function, items)
        return
    waiting: deque[Future[Result]] = deque()
    with _pool(workers, processes) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= 3 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # an error, Ctrl-C, or nobody wants the rest
            for future in waiting:
                future.cancel()


def _pool(workers: int, processes: bool) -> Executor:
    if not processes:
        return ThreadPoolExecutor(workers)
    # Spawned, not forked: a fork copies the locks of threads that are gone in the copy.
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))


def cores() -> int:
    """How many cores this process may use."""
    return (
        len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else (os.cpu_count() or 1)
    )
