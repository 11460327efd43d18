"""The server under load and abuse: nothing lost or mixed up, memory flat, a clean end.

    python bench/serve_load.py [--minutes N] [--fuzz N]

A tiny random model, so that there are many requests. 64 clients for N minutes: most ask for a
text that is known beforehand (the same prompt and seed, asked once alone); some go away
half-way, read slowly, send bodies that are too large, or ask in the wrong shape. Then random
bodies (those of tests/serve/test_fuzz.py), and SIGTERM while texts are being written.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "serve")]

from bench.measure import bar, finish  # noqa: E402
from bench.serve import Server  # noqa: E402
from hornbook.serve.config import Limits  # noqa: E402

CLIENTS, KNOWN = 64, 40
TEXT = "The cat sat on the mat; größer ist 猫 🐈, number %s. "


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--fuzz", type=int, default=10_000)
    options = parser.parse_args()
    minutes, bodies = (0.2, 300) if options.quick else (options.minutes, options.fuzz)
    with tempfile.TemporaryDirectory() as folder:
        make_model(Path(folder))
        server = Server(folder, "--max-waiting", "48").__enter__()
        load = asyncio.run(under_load(server, minutes * 60))
        statuses = asyncio.run(fuzz(server, bodies))
        ended = asyncio.run(drain(server))
    failed = sum(n for status, n in statuses.items() if int(status) >= 500)
    bars = [
        bar("answers under load that were not the known text", load["wrong"], most=0),
        bar("requests without an answer", load["lost"], most=0),
        bar("memory, second half of the load, growth", load["growth"], most=0.03),
        bar("random bodies answered with a 5xx", failed, most=0),
        bar("exit status after SIGTERM", ended["status"], most=0),
        bar("texts cut off by SIGTERM", ended["cut"], most=0),
    ]
    more = {"minutes": minutes, "load": load, "fuzz": statuses, "drain": ended}
    finish("serve_load", options.quick, bars, ("fastapi", "uvicorn"), **more)


def make_model(folder: Path) -> None:
    """Two layers of random weights with opinions strong enough to differ by."""
    import torch

    from hornbook.model.config import ModelConfig
    from hornbook.model.huggingface import save_model
    from hornbook.model.transformer import Transformer
    from hornbook.tokenizer.config import TokenizerConfig
    from hornbook.tokenizer.train import train_tokenizer

    text = "".join(TEXT % n for n in range(2000))
    tokenizer = train_tokenizer(TokenizerConfig(vocab_size=300), [text])
    tokenizer.save(folder)
    shape: dict[str, Any] = {"n_layers": 2, "d_model": 64, "n_heads": 4}
    shape |= {"n_kv_heads": 2, "context_length": 256}
    model = Transformer(ModelConfig(vocab_size=tokenizer.vocab_size, **shape))
    dice = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weights in model.parameters():
            weights.copy_(0.3 * torch.randn(weights.shape, generator=dice))
    save_model(model, folder)


async def under_load(server: Server, seconds: float) -> dict[str, Any]:
    known = [question(n) for n in range(KNOWN)]
    texts = [(await post(server.address, body))[1] for body in known]
    expected = [json.loads(text)["choices"][0]["text"] for text in texts]
    counts: Counter[str] = Counter()
    memory: list[int] = []
    until = time.monotonic() + seconds

    async def client(number: int) -> None:
        dice = random.Random(number)
        while time.monotonic() < until:
            kind = dice.choices(list(KINDS), weights=[20, 3, 2, 2, 3])[0]
            n = dice.randrange(KNOWN)
            found = await KINDS[kind](server.address, known[n], expected[n], dice)
            counts[found] += 1
            if found == "429":
                await asyncio.sleep(dice.random())

    async def watch() -> None:
        while time.monotonic() < until:
            memory.append(resident(server.process.pid))
            await asyncio.sleep(1)

    await asyncio.gather(watch(), *(client(n) for n in range(CLIENTS)))
    half = memory[len(memory) // 2 :]
    quarter = max(1, len(half) // 4)
    growth = sum(half[-quarter:]) / sum(half[:quarter]) - 1
    print(dict(counts), flush=True)
    return {
        "answers": dict(sorted(counts.items())),
        "wrong": counts["wrong"],
        "lost": counts["lost"],
        "growth": round(growth, 4),
        "resident MB": [round(memory[i] / 1e6) for i in (0, len(memory) // 2, -1)],
    }


def question(number: int) -> dict[str, Any]:
    return {
        "prompt": TEXT % number,
        "max_tokens": 8 + number % 40,
        "seed": number,
        "temperature": 0.8,
    }


async def whole(address: str, body: dict, expected: str, dice: random.Random) -> str:
    status, data = await post(address, body)
    if status == 429:
        return "429"
    if status != 200:
        return "lost" if not status else "wrong"
    text = json.loads(data)["choices"][0]["text"]
    return "right" if text == expected else "wrong"


async def streamed(address: str, body: dict, expected: str, dice: random.Random) -> str:
    """Read slowly at times, as somebody on a bad line does."""
    pause = dice.choice([0, 0, 0.02])
    status, data = await post(address, {**body, "stream": True}, pause)
    if status == 429:
        return "429"
    if not data.rstrip().endswith(b"[DONE]"):
        return "lost"
    events = [part[6:] for part in data.split(b"\n\n") if part.startswith(b"data: {")]
    text = "".join(json.loads(e)["choices"][0]["text"] for e in events)
    return "right" if text == expected else "wrong"


async def gone(address: str, body: dict, expected: str, dice: random.Random) -> str:
    reader, writer = await connect(address)
    writer.write(raw({**body, "stream": True}))
    await writer.drain()
    if dice.random() < 0.7:
        await reader.readline()
    writer.close()
    return "gone"


async def too_large(
    address: str, body: dict, expected: str, dice: random.Random
) -> str:
    size = Limits().body_bytes + dice.randrange(1 << 20)
    status, _ = await post(address, {**body, "prompt": "x" * size})
    return "413" if status == 413 else "wrong"


async def misshapen(
    address: str, body: dict, expected: str, dice: random.Random
) -> str:
    status, _ = await post(address, {**body, dice.choice(["n", "top_p"]): "many"})
    return "422" if status == 422 else "wrong"


KINDS = {
    "whole": whole,
    "gone": gone,
    "too large": too_large,
    "misshapen": misshapen,
    "streamed": streamed,
}


async def fuzz(server: Server, count: int) -> dict[str, int]:
    """The statuses that random bodies are answered with."""
    from test_fuzz import bodies

    statuses: Counter[str] = Counter()
    waiting = iter(bodies(count))

    async def client() -> None:
        for path, body in waiting:
            status, _ = await post(server.address, body, path=path)
            statuses[str(status or 599)] += 1  # no answer at all counts as a failure

    await asyncio.gather(*(client() for _ in range(8)))
    return dict(sorted(statuses.items()))


async def drain(server: Server) -> dict[str, int]:
    """SIGTERM while eight texts are being written."""
    body = {"prompt": "The cat", "max_tokens": 200, "stream": True}
    body |= {"logit_bias": {"256": 3}}
    asks = [asyncio.ensure_future(post(server.address, body)) for _ in range(8)]
    await asyncio.sleep(0.3)
    server.process.terminate()
    found = await asyncio.gather(*asks)
    cut = sum(not data.rstrip().endswith(b"[DONE]") for _, data in found)
    return {"status": server.process.wait(60), "cut": cut}


async def connect(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = address.removeprefix("http://").partition(":")
    return await asyncio.open_connection(host, int(port))


def raw(body: dict | bytes, path: str = "/v1/completions") -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
        f"content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


async def post(
    address: str, body: dict | bytes, pause: float = 0, path: str = "/v1/completions"
) -> tuple[int, bytes]:
    """Status and body of an answer; status 0 where none came."""
    try:
        reader, writer = await connect(address)
        writer.write(raw(body, path))
        await writer.drain()
        parts = []
        while part := await reader.read(512 if pause else 1 << 16):
            parts.append(part)
            await asyncio.sleep(pause)
        writer.close()
    except OSError:
        return 0, b""
    head, _, data = b"".join(parts).partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in head.lower():
        data = unchunked(data)
    return int(head.split(b" ", 2)[1]) if head else 0, data


def unchunked(data: bytes) -> bytes:
    parts = []
    while data:
        size, _, rest = data.partition(b"\r\n")
        length = int(size or b"0", 16)
        parts.append(rest[:length])
        data = rest[length + 2 :]
        if not length:
            break
    return b"".join(parts)


def resident(process: int) -> int:
    """Bytes of memory that a process holds."""
    status = Path(f"/proc/{process}/status").read_text()
    return 1024 * int(status.partition("VmRSS:")[2].split()[0])


if __name__ == "__main__":
    main()
