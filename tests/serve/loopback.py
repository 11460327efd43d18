"""What the tests of the server share: a server in a thread, and plain requests."""

import asyncio
import http.client
import json
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from hornbook.infer.engine import Engine
from hornbook.infer.load import open_model
from hornbook.serve.app import create_app
from hornbook.serve.config import Limits
from hornbook.serve.gate import LOOPBACK
from hornbook.serve.meters import Meters
from hornbook.serve.server import Server, listen
from hornbook.serve.service import Service
from hornbook.serve.worker import Worker
from hornbook.tokenizer.base import load_tokenizer


def open_tiny(directory: Path) -> Engine:
    model, codes = open_model(directory)
    return Engine(
        model, load_tokenizer(directory), max_rows=4, compiled=False, codes=codes
    )


@dataclass
class Running:
    """A server in a thread of this process."""

    service: Service
    server: Server
    thread: threading.Thread
    address: str

    def end(self) -> None:
        self.server.should_exit = True
        self.thread.join(timeout=30)


def run_server(
    openers, keys=(), hosts=LOOPBACK, runs=None, curation=(), **limits
) -> Running:
    meters, asked = Meters(), Limits(**limits)
    service = Service(Worker(openers, asked.waiting, meters), asked, meters)
    app = create_app(service, keys, hosts, runs, curation)
    listener = listen("127.0.0.1", 0)
    config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="on")
    server = Server(config)
    work = server.serve(sockets=[listener])
    thread = threading.Thread(target=lambda: asyncio.run(work), daemon=True)
    thread.start()
    port = listener.getsockname()[1]
    service.runs = runs  # for tests that write into them
    return Running(service, server, thread, f"http://127.0.0.1:{port}")


def wait_for(condition, seconds=300.0):
    """Until ``condition()`` holds; the test fails if that takes too long."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.01)


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


def send(address, method, path, body=None, **headers) -> Answer:
    """One plain request, no client library in between."""
    connection = http.client.HTTPConnection(
        address.removeprefix("http://"), timeout=120
    )
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    kind = {"content-type": "application/json"} if body is not None else {}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, path, body, {**kind, **named})
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()
