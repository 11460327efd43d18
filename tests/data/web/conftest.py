"""A web server on this machine that behaves as well, or as badly, as a test tells it to."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Server:
    """Serves ``files`` (path -> bytes); each of ``tricks`` spoils one request, in order.

    A trick is a dictionary: ``status`` and ``headers`` answer with no body; ``break_after``
    drops the connection after so many bytes; ``no_range`` ignores what was asked for;
    ``before`` is called first.
    """

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.tags: dict[str, str] = {}
        self.tricks: list[dict] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.headers: dict[str, str] = {}  # sent with every answer
        self.open_now = self.most_open = 0
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                with server._lock:
                    server.open_now += 1
                    server.most_open = max(server.most_open, server.open_now)
                try:
                    server.answer(self)
                finally:
                    with server._lock:
                        server.open_now -= 1

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(
            target=self.http.serve_forever, args=(0.02,), daemon=True
        ).start()

    def answer(self, handler):
        self.requests.append((handler.path, dict(handler.headers)))
        trick = self.tricks.pop(0) if self.tricks else {}
        trick.get("before", lambda: None)()
        path = handler.path
        if "status" in trick:
            return self.refuse(handler, trick["status"], trick.get("headers", {}))
        if path not in self.files:
            return self.refuse(handler, 404, {})
        raw, tag = self.files[path], self.tags.get(path, '"one"')
        status, start, end = 200, 0, len(raw)
        wanted = re.match(r"bytes=(\d+)-(\d*)", handler.headers.get("Range", ""))
        if_range = handler.headers.get("If-Range", tag)
        if wanted and if_range == tag and not trick.get("no_range"):
            status, start = 206, int(wanted[1])
            end = min(int(wanted[2]) + 1, end) if wanted[2] else end
            if start >= len(raw):
                return self.refuse(
                    handler, 416, {"Content-Range": f"bytes */{len(raw)}"}
                )
        handler.send_response(status)
        if status == 206:
            handler.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(raw)}")
        for name, value in (self.headers | trick.get("headers", {})).items():
            handler.send_header(name, value)
        if tag:
            handler.send_header("ETag", tag)
        handler.send_header("Content-Length", str(end - start))
        handler.end_headers()
        body = raw[start:end][: trick.get("break_after", end)]
        handler.wfile.write(body)
        handler.close_connection = True
        return None

    def refuse(self, handler, status, headers):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def asked(self, header):
        """The values of a header, request by request; None where it was not sent."""
        return [headers.get(header) for _, headers in self.requests]


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running = Server()
    yield running
    running.http.shutdown()
    running.http.server_close()
