"""A request's texts on their way: what is asked of the worker, and what comes back."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hornbook.serve.errors import ApiError

if TYPE_CHECKING:
    from hornbook.infer.config import SamplingConfig
    from hornbook.infer.request import TokenScore


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
    """A request's sequences on their way, as the event loop sees them.

    ``on_close`` is called once, when nothing more is wanted.
    """

    def __init__(self, model: str, asks: list[Ask], on_close: "Callable[[Job], None]"):
        self.model, self.asks, self._on_close = model, asks, on_close
        self.updates: asyncio.Queue[Update] = asyncio.Queue()
        self.open, self.closed = len(asks), False
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
        """Free whatever is still being written; a second time does nothing."""
        if not self.closed:
            self.closed = True
            self._on_close(self)


def _refusal(error: str) -> ApiError:
    """The engine's sentence about a request; the context has a code of its own."""
    code = "context_length_exceeded" if "context holds" in error else "invalid_value"
    return ApiError(400, error, code)
