"""The thread that owns the engines: requests go in, pieces of text come out.

Everything that touches a model happens on this one thread. Between two steps of the
batches it takes orders: add sequences, drop those whose client has gone, compute something
else once. What a step made goes back to the event loop in one call, whichever requests it
belongs to, so that the loop is woken once a step and not once a token.
"""

import asyncio
import logging
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hornbook.core.errors import UserError
from hornbook.serve.errors import ApiError
from hornbook.serve.jobs import Ask, Job
from hornbook.serve.meters import Meters
from hornbook.serve.model import Model, News

if TYPE_CHECKING:
    from hornbook.infer.engine import Engine

log = logging.getLogger("hornbook.serve")


class Worker:
    """Opens the engines, then steps them for as long as there is something to do.

    ``openers`` gives each model's name and what opens its engine, called on the thread.
    """

    def __init__(
        self, openers: dict[str, Callable[[], "Engine"]], waiting: int, meters: Meters
    ):
        self.openers, self.waiting, self.meters = openers, waiting, meters
        self.models: dict[str, Model] = {}
        self.ready = False
        self.failure: UserError | None = None
        self.admitted = 0  # sequences of all requests; the event loop's own
        self.on_failure: Callable[[], None] = lambda: None
        self._orders: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._calls: deque[Callable[[], None]] = deque()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

    # ---------------------------------------------------------------- from the event loop

    def start(self) -> None:
        """Begin to load; ``ready`` turns True when that is done."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the step it is on."""
        self.order(self._stop)
        self._thread.join(timeout=5)  # one that is still loading ends with the process

    def order(self, work: Callable[[], None]) -> None:
        """Let the thread do ``work`` before its next step."""
        self._orders.put(work)

    def admit(self, count: int) -> None:
        """Take on ``count`` sequences, or raise the 429 that says to come back."""
        if self.admitted + count > self.waiting:
            self.meters.refused.inc()
            raise ApiError(
                429,
                f"{self.admitted} texts are being written or waiting, and this server "
                f"takes {self.waiting} at once; try again in a moment.",
                "too_many_requests",
                retry_after=1,
            )
        self.admitted += count

    def submit(self, model: str, asks: list[Ask]) -> Job:
        """Have ``asks`` written; :meth:`Job.close` must follow. Raises a 429."""
        self.admit(len(asks))
        job = Job(model, asks, self._close)
        self.order(lambda: self._post(self.models[model].add(job)))
        return job

    def _close(self, job: Job) -> None:
        if job.open:
            self.order(lambda: self.models[job.model].drop(job))
        self.admitted -= len(job.asks)

    async def call(self, model: str, work: "Callable[[Engine], Any]") -> Any:
        """The result of ``work(engine)``, done between two steps. Raises a 429."""
        self.admit(1)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()

        def compute() -> None:
            if future.cancelled():
                return
            try:
                result, error = work(self.models[model].engine), None
            except Exception as problem:  # told to whoever asked
                result, error = None, problem
            loop.call_soon_threadsafe(_settle, future, result, error)

        self.order(lambda: self._calls.append(compute))
        try:
            return await future
        finally:
            self.admitted -= 1

    # ---------------------------------------------------------------------- on the thread

    def _run(self) -> None:
        try:
            self._open()
        except UserError as error:
            self.failure = error
        except Exception as error:
            log.exception("loading failed")
            kind = type(error).__name__
            self.failure = UserError(
                f"The model could not be loaded ({kind}: {error})."
            )
        if self.failure:
            self.on_failure()
            return
        self.ready = True
        while not self._stopping:
            self._take_orders()
            if self._calls:
                self._calls.popleft()()
            news: News = []
            for model in self.models.values():
                if model.batch.busy:
                    news += model.step()
            self._post(news)
            self.meters.watch(self.models.values())

    def _open(self) -> None:
        from hornbook.infer.config import SamplingConfig

        for name, opener in self.openers.items():
            engine = opener()
            # The first step compiles; better now than when somebody waits.
            engine.generate(
                [engine.tokenizer.encode("a")], SamplingConfig(max_tokens=2)
            )
            self.models[name] = Model(engine, self.meters)

    def _stop(self) -> None:
        self._stopping = True

    def _take_orders(self) -> None:
        """Carry out what was ordered; with nothing to do, wait for an order."""
        idle = not self._calls and not any(m.batch.busy for m in self.models.values())
        while True:
            try:
                self._orders.get(block=idle)()
            except queue.Empty:
                return
            idle = False

    def _post(self, news: News) -> None:
        if news and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_deliver, news)


def _deliver(news: News) -> None:
    for job, update in news:
        job.updates.put_nowait(update)


def _settle(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
