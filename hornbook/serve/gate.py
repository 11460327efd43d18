"""What every request passes first: whose host it names, its key, its body's size and kind.

Plain ASGI around the whole application, so that nothing is read, parsed or computed for who
may not ask. The body is read here whole, within a limit of bytes and of time.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from hornbook.serve.config import Limits
from hornbook.serve.errors import ApiError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN = ("/", "/health", "/favicon.ico")  # need no key; nor does what lies under /page/
PATIENCE = 16  # times the limit: how much of a body that is too large is still read
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
SAFE = {
    b"content-security-policy": (
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
}


class Gate:
    """Lets a request through to ``app``, or answers 401, 403, 408, 413 or 415.

    keys   any one of them opens; none: nobody is asked
    hosts  the names a request may call this server by; empty: any. On loopback they keep
           out a web page that lets its own name point here (DNS rebinding)
    """

    def __init__(
        self, app: App, limits: Limits, keys: Iterable[str], hosts: Iterable[str]
    ):
        self.app, self.limits = app, limits
        self.digests = [_digest(key.encode()) for key in keys]
        self.hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        guarded = _with_headers(self._patient(send))
        headers = dict(scope["headers"])
        try:
            self._check(scope, headers)
            body = await self._body(headers, receive)
        except ApiError as error:
            # What is left of a body would be taken for the next request.
            error.headers["connection"] = "close"
            await error.response()(scope, receive, guarded)
            return
        await self.app(scope, _replay(body, receive), guarded)

    def _check(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        host = headers.get(b"host", b"").decode("latin-1")
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if self.hosts and name not in self.hosts:
            raise ApiError(403, f"This server is not called '{name}'.", "wrong_host")
        path = scope["path"]
        if path not in OPEN and not path.startswith("/page/"):
            self._check_key(headers.get(b"authorization", b""))
        if scope["method"] in ("POST", "PUT", "PATCH"):
            kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
            if kind != b"application/json":
                raise ApiError(415, "The body's content-type must be application/json.")

    def _check_key(self, header: bytes) -> None:
        if not self.digests:
            return
        scheme, _, key = header.partition(b" ")
        given = _digest(key.strip())
        # All are compared, and digests of one length: time tells nothing of a key.
        known = [hmac.compare_digest(given, digest) for digest in self.digests]
        if scheme.lower() != b"bearer" or not any(known):
            told = "This server asks for an API key: 'Authorization: Bearer KEY'."
            raise ApiError(401, told, "invalid_api_key")

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        limit, length = self.limits.body_bytes, headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > PATIENCE * limit:
            raise _too_large(limit)
        try:
            async with asyncio.timeout(self.limits.read_seconds):
                return await _read(receive, limit)
        except TimeoutError:
            raise ApiError(408, "The body did not arrive in time.") from None

    def _patient(self, send: Send) -> Send:
        """``send`` that gives up on a reader who takes nothing for too long."""

        async def patient(message: Message) -> None:
            try:
                async with asyncio.timeout(self.limits.write_seconds):
                    await send(message)
            except TimeoutError:
                raise ConnectionError("the client reads too slowly") from None

        return patient


async def _read(receive: Receive, limit: int) -> bytes:
    """A body of at most ``limit`` bytes.

    One that is a little too large is read to its end and thrown away: many clients look
    for an answer only when they have sent everything.
    """
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        part = message.get("body", b"")
        size += len(part)
        if size <= limit:
            parts.append(part)
        more = message.get("more_body")
        if size > (PATIENCE * limit if more else limit):
            raise _too_large(limit)
        if not more:
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """``receive`` that gives ``body`` first, and then goes on as before."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _with_headers(send: Send) -> Send:
    async def safe(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *SAFE.items()]
        await send(message)

    return safe


def _too_large(limit: int) -> ApiError:
    return ApiError(413, f"The body is larger than {limit:,} bytes.", "body_too_large")


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
