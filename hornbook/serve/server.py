"""The server as a process: listens, says so, drains on SIGTERM and ends with status 0."""

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator

import uvicorn
from fastapi import FastAPI

from hornbook.core.errors import UserError
from hornbook.serve.worker import Worker

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Server(uvicorn.Server):
    """Uvicorn's server that ends quietly when told to end.

    The first signal stops listening and lets what is being written be finished, within the
    time given for it; a second one ends at once.
    """

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Uvicorn would send the signal to itself again when all is done."""
        if threading.current_thread() is not threading.main_thread():
            yield  # signals come to the main thread alone
            return
        before = {each: signal.signal(each, self.handle_exit) for each in SIGNALS}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def handle_exit(self, sig: int, frame: object) -> None:
        """Drain; at a second signal, don't."""
        self.force_exit = self.force_exit or self.should_exit
        self.should_exit = True


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises :class:`UserError` where there is none to be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(256)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"Nothing can listen on {host}:{port} ({reason}); name another --port, or 0 "
            "for a free one."
        ) from None
    return listener


def serve(
    app: FastAPI,
    worker: Worker,
    listener: socket.socket,
    drain_seconds: int,
    say: Callable[[str], None],
) -> None:
    """Serve until told to end. Raises :class:`UserError` when the model can't be opened."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=drain_seconds,
        timeout_keep_alive=30,
        lifespan="on",
    )
    server = Server(config)
    host, port = listener.getsockname()[:2]
    host = f"[{host}]" if ":" in host else host
    say(f"http://{host}:{port}")

    def end() -> None:
        server.should_exit = True

    worker.on_failure = end
    asyncio.run(server.serve(sockets=[listener]))
    if worker.failure:
        raise worker.failure
