"""Answers that come piece by piece (server-sent events), and clients that go away."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from typing import Any, Protocol, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hornbook.serve.errors import ApiError, GoneError, json_response

log = logging.getLogger("hornbook.serve")
T = TypeVar("T")


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``, which is cancelled when the client goes away."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnect(request.receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise GoneError
        return task.result()
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


class EventStream(Response):
    """``events`` one by one as ``data: JSON``, then ``data: [DONE]``.

    A failure on the way is an event too. ``close`` is called in any case: at the end, when
    the client goes away, when the server ends.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[Any], close: Callable[[], None]):
        super().__init__(headers={"cache-control": "no-cache"})
        del self.headers["content-length"]
        self.events, self.close = events, close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end, or until nobody listens."""
        writing = asyncio.ensure_future(self._write(send))
        gone = asyncio.ensure_future(_disconnect(receive))
        try:
            await asyncio.wait({writing, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            writing.cancel()
            gone.cancel()
            await asyncio.gather(writing, gone, return_exceptions=True)
            self.close()

    async def _write(self, send: Send) -> None:
        with suppress(OSError):  # nobody listens any more, or too slowly
            await send(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": self.raw_headers,
                }
            )
            async for data in self._data():
                body = b"data: " + data + b"\n\n"
                await send(
                    {"type": "http.response.body", "body": body, "more_body": True}
                )
            await send({"type": "http.response.body", "body": b""})

    async def _data(self) -> AsyncIterator[bytes]:
        try:
            async for event in self.events:
                yield msgspec.json.encode(event)
        except ApiError as error:
            yield msgspec.json.encode(error.body())
            return
        except Exception:
            log.exception("a stream failed")
            yield msgspec.json.encode(ApiError(500, "The server failed here.").body())
            return
        yield b"[DONE]"


class Task(Protocol):
    """A request on its way: answered at once or piece by piece, and freed at the end."""

    def answer(self) -> Coroutine[Any, Any, dict[str, Any]]:
        """Everything at once."""
        ...

    def events(self) -> AsyncIterator[dict[str, Any]]:
        """Piece by piece."""
        ...

    def close(self) -> None:
        """Free what is still being written; a second time does nothing."""
        ...


async def respond(task: Task, request: Request, stream: bool) -> Response:
    """What ``task`` comes to, whole or as a stream; it is closed on every way out."""
    try:
        if stream:
            events = await _begun(request, task.events())
            return EventStream(events, task.close)
        answer = json_response(await unless_gone(request, task.answer()))
    except BaseException:
        task.close()
        raise
    task.close()
    return answer


async def _begun(request: Request, events: AsyncIterator[T]) -> AsyncIterator[T]:
    """``events`` once the first is there: what fails before can still have a status."""
    try:
        first = await unless_gone(request, _next(events))
    except StopAsyncIteration:
        return events

    async def all_of_them() -> AsyncIterator[T]:
        yield first
        async for event in events:
            yield event

    return all_of_them()


async def _next(events: AsyncIterator[T]) -> T:
    return await anext(events)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
