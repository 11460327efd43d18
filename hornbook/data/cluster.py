"""Work on many machines: the engine's map on a Ray cluster.

What is mapped is the same function of the same units as on one machine, and what a unit
leaves lies in files that all machines can reach. A machine that is lost takes nothing
along: Ray does its units again elsewhere, and those that are whole are never asked for.
Ray is an extra, and imported here only.
"""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from hornbook.core.errors import UserError

RETRIES = 20  # of a unit whose machine was lost
AHEAD = 3  # units handed out per processor


def cluster_map(
    function: Callable[[Any], Any], items: Iterable[Any], isolated: bool = False
) -> Iterator[Any]:
    """``function`` of every item, in their order, on the cluster's processors.

    ``isolated`` runs it in a child of Ray's worker, which may hang or crash (pool.py).
    Raises what ``function`` raises, and :class:`UserError` where Ray is missing.
    """
    ray = _connected()
    run = ray.remote(num_cpus=1, max_retries=RETRIES, scheduling_strategy="SPREAD")(
        _isolated if isolated else _call
    )
    shared = ray.put(function)
    waiting: deque[Any] = deque()
    try:
        for item in items:
            waiting.append(run.remote(shared, item))
            if len(waiting) >= AHEAD * max(int(ray.cluster_resources()["CPU"]), 1):
                yield _result(ray, waiting.popleft())
        while waiting:
            yield _result(ray, waiting.popleft())
    finally:
        for reference in waiting:
            ray.cancel(reference)


def _call(function: Callable[[Any], Any], item: Any) -> Any:
    return function(item)


def _isolated(function: Callable[[Any], Any], item: Any) -> Any:
    from hornbook.data.pool import isolated_map

    return next(iter(isolated_map(function, [item], 1)))


def _result(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        raise UserError(
            f"A machine of the Ray cluster was lost too often: {str(error).splitlines()[0]} "
            "What was finished is kept; the same command goes on from there."
        ) from None


def _connected() -> Any:
    """Ray, connected to the cluster of RAY_ADDRESS, or to one of this machine alone."""
    try:
        import ray
    except ImportError:
        raise UserError(
            "'data.engine' asks for ray, which is not installed; install hornbook[ray], or "
            "set it to local."
        ) from None
    if not ray.is_initialized():
        ray.init(
            address=os.environ.get("RAY_ADDRESS"),
            log_to_driver=False,
            logging_level=logging.ERROR,
            include_dashboard=False,
        )
    return ray
