"""Worker processes that can be killed: what hangs or dies costs one page, not the run.

Libraries that read what strangers wrote may loop forever, exhaust the memory or crash in
compiled code, where no exception ends it. So a worker says what it is :func:`at`; when it
gives no further sign of life in time, or dies, it is replaced, and the item is done again
with that place passed over.
"""

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from typing import Any

from hornbook.core.errors import UserError

PATIENCE = 600.0  # seconds without a sign of life, where nothing shorter is said
MEMORY = 6 << 30  # bytes of address space a worker may use, where the system can say so
TICK = 1.0  # seconds between two looks at the clock
SIGN = 1.0  # seconds between two signs of life

_connection: Any = None  # in a worker: to who started it
_given_up: dict[
    str, str
] = {}  # places where an earlier attempt at the item ended, and how
_last_sign = 0.0


class GivenUp(Exception):
    """An earlier attempt hung or died at this place; the message says which."""


def at(place: str, doing: str = "reading", seconds: float = PATIENCE) -> None:
    """Note what begins now; raises :class:`GivenUp` where an earlier attempt never ended.

    Outside a worker process it does nothing.
    """
    if place in _given_up:
        raise GivenUp(_given_up[place])
    if _connection is not None:
        _connection.send(("at", (place, doing, seconds)))


def alive() -> None:
    """A sign of life within a long piece of work."""
    global _last_sign
    now = time.monotonic()
    if _connection is not None and now - _last_sign > SIGN:
        _last_sign = now
        _connection.send(("alive", None))


def isolated_map(
    function: Callable[[Any], Any], items: Iterable[Any], workers: int
) -> Iterator[Any]:
    """``function`` of every item, in order, in ``workers`` processes that are replaced
    when they hang or die.

    Items are taken as they are needed. Raises what ``function`` raises, and
    :class:`UserError` when a process dies without having said where.
    """
    team = [_Worker(function) for _ in range(workers)]
    ready: deque[tuple[int, Any]] = deque()
    source, more = enumerate(items), True
    results: dict[int, Any] = {}
    wanted = 0
    try:
        while True:
            plan = more and len(ready) < workers and len(results) < 2 * workers
            if plan and (planned := next(source, None)) is not None:
                ready.append(planned)
            elif plan:
                more = plan = False
            for worker in team:
                if ready and not worker.busy:
                    worker.give(*ready.popleft())
            if not more and not ready and not any(worker.busy for worker in team):
                break
            results |= _listen(team, 0 if plan else TICK)
            while wanted in results:
                yield results.pop(wanted)
                wanted += 1
    finally:
        for worker in team:
            worker.stop()


def _listen(team: list["_Worker"], seconds: float) -> dict[int, Any]:
    """What the workers have finished, by number, after at most ``seconds``."""
    busy = [worker for worker in team if worker.busy]
    start = time.monotonic()
    heard = wait([worker.connection for worker in busy], seconds)
    # A machine that slept, or stood still, must not count as a worker's silence.
    waited = min(time.monotonic() - start, TICK)
    results = {}
    for worker in busy:
        worker.silent += waited
        if worker.connection in heard:
            worker.hear()
        elif worker.silent > worker.patience:
            worker.give_up(f"{worker.doing} took longer than {worker.patience:g} s")
        if not worker.busy:
            results[worker.number] = worker.result
    return results


class _Worker:
    """One process and what it is doing."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function
        self.process: Any = None
        self.busy = False

    def give(self, number: int, item: Any) -> None:
        """Hand out an item."""
        self.number, self.item, self.busy = number, item, True
        self.given_up: dict[str, str] = {}
        self._send()

    def _send(self) -> None:
        self.place, self.doing, self.patience = "", "starting", PATIENCE
        self.silent = 0.0
        if self.process is None:
            self._start()
        try:
            self.connection.send((self.item, self.given_up))
        except OSError:
            return  # it has just died, and listening to it will tell

    def _start(self) -> None:
        # Spawned, not forked: a fork copies the locks of threads that are gone in the copy.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        arguments = (theirs, self.function)
        self.process = context.Process(target=_serve, args=arguments, daemon=True)
        with _no_interrupt():  # Ctrl-C is the parent's to answer
            self.process.start()
        theirs.close()

    def hear(self) -> None:
        """Take in what the worker has sent."""
        try:
            while self.busy and self.connection.poll():
                kind, told = self.connection.recv()
                self.silent = 0.0
                if kind == "at":
                    self.place, self.doing, self.patience = told
                elif kind == "memory":
                    self.give_up(f"{self.doing} took more than {MEMORY >> 30} GiB")
                elif kind == "error":
                    raise told
                elif kind == "done":
                    self.result, self.item, self.busy = told, None, False
        except (EOFError, ConnectionResetError):
            self.process.join()
            self.give_up(f"{self.doing} ended the process ({self._death()})")

    def _death(self) -> str:
        code = self.process.exitcode
        if code >= 0:
            return f"exit status {code}"
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"

    def give_up(self, why: str) -> None:
        """Replace the process, and go on behind the place where it was."""
        self.stop()
        if not self.place or self.place in self.given_up:
            raise UserError(
                f"A worker process failed at {self.place or 'its start'}: {why}. Is there "
                "enough memory? With fewer data.workers there is more for each."
            )
        self.given_up[self.place] = why
        self._send()

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.connection.close()
            self.process = None


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """What starts within the block is born deaf to Ctrl-C."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, function: Callable[[Any], Any]) -> None:
    """A worker's life: do what comes until nothing more can come."""
    global _connection, _given_up
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _limit_memory()
    _connection = connection
    while True:
        try:
            item, _given_up = connection.recv()
        except EOFError:
            return
        try:
            answer = ("done", function(item))
        except MemoryError:
            answer = ("memory", None)
        except (UserError, OSError) as error:
            answer = ("error", error)
        except Exception:  # not every exception can be sent as it is
            answer = ("error", RuntimeError(traceback.format_exc()))
        del item
        connection.send(answer)


def _end_with_parent() -> None:
    """A worker whose parent was killed must not go on writing beside its successor."""
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or hard > MEMORY:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, hard))
