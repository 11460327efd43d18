"""The server as a process: it drains on SIGTERM, and says in a sentence why it can't start."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from loopback import send, wait_for

ROOT = Path(__file__).parents[2]


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "hornbook.cli", "serve", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def health(address):
    try:
        return send(address, "GET", "/health").status
    except OSError:
        return None


@pytest.mark.slow
def test_sigterm_finishes_what_is_being_written_and_ends_with_status_0(model_directory):
    process = start(model_directory, "--port", 0)
    assert process.stdout
    assert process.stderr
    line = process.stdout.readline()
    address = re.search(r"http://127\.0\.0\.1:\d+", line).group()
    wait_for(lambda: health(address) == 200)
    body = {"prompt": "The cat", "max_tokens": 300, "stream": True, "seed": 1}
    events: list[bytes] = []
    begun = threading.Event()

    def read():
        connection = http.client.HTTPConnection(address[7:], timeout=120)
        kind = {"content-type": "application/json"}
        connection.request("POST", "/v1/completions", json.dumps(body).encode(), kind)
        answer = connection.getresponse()
        while piece := answer.readline():
            events.append(piece)
            begun.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert begun.wait(120)
    process.send_signal(signal.SIGTERM)
    reader.join(120)
    assert process.wait(60) == 0, process.stderr.read()
    assert events[-2] == b"data: [DONE]\n"
    assert health(address) is None


@pytest.mark.slow
def test_what_can_t_be_served_is_one_sentence(tmp_path):
    for path, told in (
        (tmp_path / "nothing", "is not a folder"),
        (tmp_path, "no trained model"),
    ):
        process = start(path, "--port", 0)
        _, error = process.communicate(timeout=120)
        assert process.returncode == 1
        assert told in error
        assert "Traceback" not in error
