"""Work on many cores, or machines: results in order, memory bounded, same output.

Stage functions know nothing of it. Within ``using("ray")`` the same maps run on a Ray
cluster (cluster.py).
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from hornbook.data.pool import isolated_map

Item = TypeVar("Item")
Result = TypeVar("Result")


_engine = "local"


@contextmanager
def using(engine: str) -> Iterator[None]:
    """Within the block all maps run on ``engine``: local or ray."""
    global _engine
    before, _engine = _engine, engine
    try:
        yield
    finally:
        _engine = before


def on_cluster() -> bool:
    """Whether maps run on many machines now."""
    return _engine == "ray"


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
    if on_cluster():
        from hornbook.data.cluster import cluster_map

        return cluster_map(function, items)
    if workers <= 1:
        return map(function, items)
    return (isolated_map if processes else _threaded)(function, items, workers)


def _threaded(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[Result]:
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers) as pool:
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


def cores() -> int:
    """How many cores this process may use."""
    return (
        len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else (os.cpu_count() or 1)
    )
