"""The server under eight streaming clients, and how long its page takes to be seen.

    python bench/serve.py [--quick] [--peers PYTHON]

Random weights (Llama's shape, 110 M parameters, bfloat16) are served by ``hornbook serve`` in
a process of its own. Eight clients in another one send 64 tokens each at the same moment
and read 64 back as a stream: together, tokens per second and the median time to the first.
The page is opened by Chromium where it is installed.

With a PYTHON that has llama-cpp-python, llama.cpp's library does the same in the same minute,
without a server around it (bench/serve_peer.py): no server on it can be faster. The bars of
440 tokens/s and 190 ms are llama-server's on two cores of an AMD EPYC with the same weights
and load; on another machine only the figures beside the library compare.
"""

import argparse
import asyncio
import json
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench.measure import bar, finish  # noqa: E402

CLIENTS, PROMPT, WRITTEN = 8, 64, 64
LLAMA_SERVER = {"tokens per second": 440.0, "first token p50, ms": 190.0}
TEXT = "Any text will do, as long as it has pairs to merge: %s. "


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute")
    parser.add_argument("--peers", help="a Python with llama-cpp-python")
    parser.add_argument("--client", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        print(json.dumps(asyncio.run(one_round(options.client))))
        return
    with tempfile.TemporaryDirectory() as folder:
        make_model(Path(folder))
        count = 2 if options.quick else 5
        with Server(folder, "--weights", "bfloat16") as server:
            rounds = [ask(server.address) for _ in range(count + 1)][1:]
            seen = paint(server.address)
        peer = library(options.peers, Path(folder), count) if options.peers else None
    rate = statistics.median(r["rate"] for r in rounds)
    first = statistics.median(1000 * f for r in rounds for f in r["first"])
    bars = [
        bar("8 streaming clients, together", rate, 440, unit="tokens/s"),
        bar("8 streaming clients, first token p50", first, most=190, unit="ms"),
    ]
    if peer:
        bars += [
            bar("together, times llama.cpp's library alone", rate / peer["rate"], 1),
            bar(
                "first token, times llama.cpp's library alone",
                first / peer["first"],
                most=1,
            ),
        ]
    if seen:
        bars += [
            bar("page, first paint", seen["paint"], most=0.5, unit="s"),
            bar(
                "page, all five tabs, bytes sent",
                seen["bytes"] / 1e6,
                most=1.5,
                unit="MB",
            ),
        ]
    more = {"llama_server": LLAMA_SERVER, "library": peer}
    finish("serve", options.quick, bars, ("fastapi", "uvicorn"), **more)


def make_model(folder: Path) -> None:
    """Random weights and a small tokenizer beside them; most ids are never chosen."""
    import torch

    from hornbook.model.huggingface import save_model
    from hornbook.model.presets import preset
    from hornbook.model.transformer import Transformer
    from hornbook.tokenizer.config import TokenizerConfig
    from hornbook.tokenizer.train import train_tokenizer

    torch.manual_seed(0)
    text = "".join(TEXT % n for n in range(2000))
    train_tokenizer(TokenizerConfig(vocab_size=300), [text]).save(folder)
    save_model(Transformer(preset("llama-110m", init="gpt2")), folder)


def library(python: str, folder: Path, rounds: int) -> dict[str, float]:
    """llama.cpp's library with the same weights: tokens per second, ms to the first."""
    import numba
    import torch

    from bench.infer import write_weights
    from hornbook.model.huggingface import load_model

    path = folder / "model.gguf"
    write_weights(load_model(folder), path, "bf16")
    threads = min(torch.get_num_threads(), numba.get_num_threads())
    script = str(Path(__file__).parent / "serve_peer.py")
    command = [python, script, str(path), str(threads), str(rounds)]
    found = json.loads(subprocess.check_output(command))
    first = 1000 * statistics.median(found["first"])
    return {"rate": statistics.median(found["rate"]), "first": first}


class Server:
    """``hornbook serve`` in a process; ends with SIGTERM."""

    def __init__(self, folder: str, *arguments: str):
        command = ["-m", "hornbook.cli", "serve", folder, "--port", "0", *arguments]
        self.process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        found = re.search(r"http://\S+?:\d+", self.process.stdout.readline())
        assert found, "the server did not start"
        self.address = found.group()

    def __enter__(self) -> "Server":
        import urllib.error
        import urllib.request

        while True:
            try:
                urllib.request.urlopen(f"{self.address}/health")
                return self
            except urllib.error.HTTPError:
                time.sleep(0.2)

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def ask(address: str) -> dict[str, Any]:
    """One round of all clients, from a process of their own."""
    command = [sys.executable, __file__, "--client", address]
    return json.loads(subprocess.check_output(command, cwd=ROOT))


async def one_round(address: str) -> dict[str, Any]:
    dice = random.Random(time.time_ns())
    prompts = [[dice.randrange(280) for _ in range(PROMPT)] for _ in range(CLIENTS)]
    begun = time.perf_counter()
    found = await asyncio.gather(*(client(address, prompt) for prompt in prompts))
    spent = time.perf_counter() - begun
    assert all(tokens == WRITTEN for _, tokens in found), found
    return {"rate": CLIENTS * WRITTEN / spent, "first": [first for first, _ in found]}


async def client(address: str, prompt: list[int]) -> tuple[float, int]:
    """Seconds to the first token, and how many came."""
    host, _, port = address.removeprefix("http://").partition(":")
    body = {"prompt": prompt, "max_tokens": WRITTEN, "temperature": 0, "stream": True}
    body["stream_options"] = {"include_usage": True}
    data = json.dumps(body).encode()
    begun = time.perf_counter()
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n"
        % len(data)
        + data
    )
    first, tokens = 0.0, 0
    while line := await reader.readline():
        if line.startswith(b"data: {"):
            first = first or time.perf_counter() - begun
            usage = json.loads(line[6:]).get("usage")
            tokens = usage["completion_tokens"] if usage else tokens
    writer.close()
    return first, tokens


def paint(address: str) -> dict[str, float] | None:
    """Seconds to the first paint, and the bytes of all tabs; None without Chromium."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        program = None
    if program is None:
        print("  no Chromium here: the page is not measured", flush=True)
        return None
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
        times, size = [], 0
        for _ in range(5):
            page = browser.new_context().new_page()
            sizes: list[int] = []
            page.on("response", lambda answer, s=sizes: s.append(length_of(answer)))
            page.goto(f"{address}/", wait_until="networkidle")
            entries = (
                "performance.getEntriesByName('first-contentful-paint')[0].startTime"
            )
            times.append(page.evaluate(entries) / 1000)
            for tab in ("run", "data", "tokens", "microscope"):
                page.evaluate(f"location.hash = '{tab}'")
                page.wait_for_load_state("networkidle")
            page.wait_for_timeout(300)
            size = max(size, sum(sizes))
            page.context.close()
        browser.close()
    return {"paint": statistics.median(times), "bytes": size}


def length_of(answer: Any) -> int:
    return int(answer.headers.get("content-length", 0))


if __name__ == "__main__":
    main()
