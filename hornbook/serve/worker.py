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
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hornbook.core.errors import UserError
from hornbook.serve.errors import ApiError
from hornbook.serve.meters import Meters

if TYPE_CHECKING:
    from hornbook.infer.batch import Batch
    from hornbook.infer.config import SamplingConfig
    from hornbook.infer.engine import Engine
    from hornbook.infer.request import Sequence, TokenScore

log = logging.getLogger("hornbook.serve")


@dataclass(frozen=True)
class Ask:
    """One text to write: a prompt (ids), how, and the number that tells it from others."""

    prompt: list[int]
    sampling: "SamplingConfig"
    number: int = 0


@dataclass(frozen=True)
class Update:
    """What a step added to one sequence of a job; ``index`` says to which.

    ``error`` is a fault of the request, ``broken`` one of ours.
    """

    index: int
    text: str = ""
    ids: "list[int]" = field(default_factory=list)
    scores: "list[TokenScore]" = field(default_factory=list)
    finish_reason: str | None = None
    error: str = ""
    broken: bool = False


class Job:
    """A request's sequences on their way, as the event loop sees them."""

    def __init__(self, worker: "Worker", model: str, asks: list[Ask]):
        self.worker, self.model, self.asks = worker, model, asks
        self.updates: asyncio.Queue[Update] = asyncio.Queue()
        self.open = len(asks)
        self.begun = time.perf_counter()

    async def __anext__(self) -> Update:
        """The next update; raises :class:`ApiError` for one that tells of a failure."""
        if not self.open:
            raise StopAsyncIteration
        update = await self.updates.get()
        if update.finish_reason:
            self.open -= 1
        if update.broken:
            raise ApiError(500, update.error)
        if update.error:
            raise _refusal(update.error)
        return update

    def __aiter__(self) -> "Job":
        return self

    def close(self) -> None:
        """Free whatever is still being written."""
        if self.open:
            self.worker.order(lambda: self.worker.drop(self))
        self.worker.admitted -= len(self.asks)


class Model:
    """An engine and the batch it is working on; the worker's own."""

    def __init__(self, engine: "Engine"):
        self.engine = engine
        self.batch: Batch = engine.batch()
        self.running: dict[int, Running] = {}  # by id of the sequence

    def cache_share(self) -> float:
        """Share of the cache's pages that live sequences hold."""
        pages = self.batch.decoder.cache.pages
        return 1 - pages.room() / max(1, pages.count)


@dataclass
class Running:
    """A sequence in a batch, whose it is, and how much of it was handed over."""

    job: Job
    index: int
    sequence: "Sequence"
    seen: int = 0
    last: float = 0.0


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
        job = Job(self, model, asks)
        self.order(lambda: self._add(job))
        return job

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

    def drop(self, job: Job) -> None:
        """Stop writing what a job still has open."""
        model = self.models[job.model]
        for key, running in list(model.running.items()):
            if running.job is job:
                model.batch.cancel(running.sequence)
                del model.running[key]
                self.meters.finished.labels("cancelled").inc()

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
            updates: list[tuple[Job, Update]] = []
            for model in self.models.values():
                if model.batch.busy:
                    updates += self._step(model)
            self._post(updates)
            self.meters.watch(self.models.values())

    def _open(self) -> None:
        from hornbook.infer.config import SamplingConfig

        for name, opener in self.openers.items():
            engine = opener()
            # The first step compiles; better now than when somebody waits.
            engine.generate(
                [engine.tokenizer.encode("a")], SamplingConfig(max_tokens=2)
            )
            self.models[name] = Model(engine)

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

    def _add(self, job: Job) -> None:
        model, refused = self.models[job.model], []
        for index, ask in enumerate(job.asks):
            try:
                sequence = model.engine.sequence(
                    ask.prompt, ask.sampling, number=ask.number
                )
            except RecursionError:
                refused.append(
                    (job, _failed(index, "The schema is nested too deeply."))
                )
                continue
            except Exception as error:  # ours; the thread must go on
                log.exception("a request could not be prepared")
                told = f"The request could not be prepared ({type(error).__name__})."
                refused.append((job, _failed(index, told, broken=True)))
                continue
            if sequence.error:
                refused.append((job, _failed(index, sequence.error)))
                continue
            model.running[id(sequence)] = Running(job, index, sequence)
            model.batch.add(sequence)
        self._post(refused)

    def _step(self, model: Model) -> list[tuple[Job, Update]]:
        try:
            grown = model.batch.step()
        except Exception as error:
            return self._give_up(model, error)
        now, updates = time.perf_counter(), []
        for sequence in grown:
            running = model.running.get(id(sequence))
            if running is not None:
                updates.append((running.job, self._update(running, now)))
                if sequence.finish_reason:
                    del model.running[id(sequence)]
        return updates

    def _update(self, running: Running, now: float) -> Update:
        sequence, job = running.sequence, running.job
        text = "".join(sequence.pieces)
        sequence.pieces.clear()
        ids, scores = sequence.ids[running.seen :], sequence.scores[running.seen :]
        if ids:
            first = not running.seen
            since = job.begun if first else running.last
            self.meters.tokens(len(ids), now - since, first)
            running.last = now
        running.seen = len(sequence.ids)
        if sequence.finish_reason:
            self.meters.finished.labels(sequence.finish_reason).inc()
            self.meters.whole.observe(now - job.begun)
        return Update(
            running.index, text, ids, scores, sequence.finish_reason, sequence.error
        )

    def _give_up(self, model: Model, error: Exception) -> list[tuple[Job, Update]]:
        """A step failed: everything in the batch ends with it, and a new batch begins."""
        log.exception("a step of the engine failed")
        kind = type(error).__name__
        told = f"The engine failed while this was being written ({kind})."
        updates = [
            (r.job, _failed(r.index, told, broken=True)) for r in model.running.values()
        ]
        model.running.clear()
        model.batch.close()
        model.batch = model.engine.batch()
        return updates

    def _post(self, updates: list[tuple[Job, Update]]) -> None:
        if updates and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_deliver, updates)


def _failed(index: int, error: str, broken: bool = False) -> Update:
    return Update(index, finish_reason="error", error=error, broken=broken)


def _deliver(updates: list[tuple[Job, Update]]) -> None:
    for job, update in updates:
        job.updates.put_nowait(update)


def _settle(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def _refusal(error: str) -> ApiError:
    """The engine's sentence about a request; the context has a code of its own."""
    code = "context_length_exceeded" if "context holds" in error else "invalid_value"
    return ApiError(400, error, code)
