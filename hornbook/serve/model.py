"""A served model: its engine, the batch it is working on, and whose each sequence is.

Only the worker's thread touches it.
"""

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hornbook.serve.jobs import Job, Update
from hornbook.serve.meters import Meters

if TYPE_CHECKING:
    from hornbook.infer.batch import Batch
    from hornbook.infer.engine import Engine
    from hornbook.infer.request import Sequence

log = logging.getLogger("hornbook.serve")
News = list[tuple[Job, Update]]


@dataclass
class Running:
    """A sequence in a batch, whose it is, and how much of it was handed over."""

    job: Job
    index: int
    sequence: "Sequence"
    seen: int = 0
    last: float = 0.0


class Model:
    """Jobs go in with :meth:`add`; :meth:`step` says what is new of them."""

    def __init__(self, engine: "Engine", meters: Meters):
        self.engine, self.meters = engine, meters
        self.batch: Batch = engine.batch()
        self.running: dict[int, Running] = {}  # by id of the sequence

    def cache_share(self) -> float:
        """Share of the cache's pages that live sequences hold."""
        pages = self.batch.decoder.cache.pages
        return 1 - pages.room() / max(1, pages.count)

    def add(self, job: Job) -> News:
        """Take on a job's sequences; what of them can't be served."""
        refused: News = []
        for index, ask in enumerate(job.asks):
            try:
                sequence = self.engine.sequence(
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
            self.running[id(sequence)] = Running(job, index, sequence)
            self.batch.add(sequence)
        return refused

    def drop(self, job: Job) -> None:
        """Stop writing what a job still has open."""
        for key, running in list(self.running.items()):
            if running.job is job:
                self.batch.cancel(running.sequence)
                del self.running[key]
                self.meters.finished.labels("cancelled").inc()

    def step(self) -> News:
        """One step of the batch; what it added to whose sequences."""
        try:
            grown = self.batch.step()
        except Exception as error:
            return self._give_up(error)
        now, news = time.perf_counter(), []
        for sequence in grown:
            running = self.running.get(id(sequence))
            if running is not None:
                news.append((running.job, self._update(running, now)))
                if sequence.finish_reason:
                    del self.running[id(sequence)]
        return news

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

    def _give_up(self, error: Exception) -> News:
        """A step failed: everything in the batch ends with it, and a new batch begins."""
        log.exception("a step of the engine failed")
        kind = type(error).__name__
        told = f"The engine failed while this was being written ({kind})."
        news = [
            (r.job, _failed(r.index, told, broken=True)) for r in self.running.values()
        ]
        self.running.clear()
        self.batch.close()
        self.batch = self.engine.batch()
        return news


def _failed(index: int, error: str, broken: bool = False) -> Update:
    return Update(index, finish_reason="error", error=error, broken=broken)
