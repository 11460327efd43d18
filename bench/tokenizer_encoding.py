"""What bench/tokenizer.py measures of encoding and decoding, for one number of threads."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numba
import numpy as np
from tokenizer_peers import Peers, attempt
from tokenizer_timing import PATTERN, best, clock_of

from hornbook.tokenizer.bpe import BPETokenizer

Encoded = Callable[[Any], Any]


class Entrant(NamedTuple):
    """A tokenizer in a race: how to make it afresh, what it then does, with how much text."""

    make: Callable[[], Any]
    work: Encoded
    megabytes: float


def race(entrants: dict[str, Entrant], rounds: int, threads: int) -> dict[str, float]:
    """MB/s of each, cold and warm: the best of some rounds.

    They take turns, so that whatever the machine does besides meets all alike.
    """
    clock, speeds = clock_of(threads), dict[str, list[float]]()
    fresh: dict[str, Any] = {}
    for state in ("cold", "warm"):
        for _ in range(rounds):
            for who, entrant in entrants.items():
                if state == "cold":
                    fresh[who] = entrant.make()
                start = clock()
                entrant.work(fresh[who])
                speed = entrant.megabytes / (clock() - start)
                speeds.setdefault(f"{who} {state}", []).append(speed)
    return {who: max(measured) for who, measured in speeds.items()}


def ready(tokenizer: BPETokenizer, threads: int) -> BPETokenizer:
    """The tokenizer with empty caches and all else set up."""
    fresh = BPETokenizer(tokenizer.vocabulary, PATTERN)
    fresh.encode_batch(["one text to set things up " * 40_000] * 4, threads)
    for encoder in fresh._free:
        encoder.clear()
    return fresh


def encoding(
    found: dict[str, float],
    name: str,
    texts: list[str],
    tokenizer: BPETokenizer,
    peers: Peers,
    threads: int,
    quick: bool,
) -> None:
    """Add the figures of one kind of text."""
    rounds = 2 if quick else 7
    size = sum(len(text.encode()) for text in texts) / 1e6

    def ours(threads: int) -> Entrant:
        return Entrant(
            lambda: ready(tokenizer, threads),
            lambda t: t.encode_batch(texts, threads),
            size,
        )

    def gigatoken(parallel: bool) -> Entrant:
        return Entrant(
            peers.gigatoken, lambda g: g.encode_batch(texts, parallel=parallel), size
        )

    entrants = {f"{name} many ours {threads}": ours(threads)}
    if threads > 1:  # the same by one thread, by the same clock
        entrants[f"{name} many ours 1 beside {threads}"] = ours(1)
    if attempt(peers.gigatoken):
        entrants[f"{name} many gigatoken {threads}"] = gigatoken(threads > 1)
        if threads > 1:
            entrants[f"{name} many gigatoken 1 beside {threads}"] = gigatoken(False)
    found |= race(entrants, rounds * threads, threads)
    if threads == 1:
        one_text(found, name, "\n".join(texts), tokenizer, peers, quick)


def one_text(
    found: dict[str, float],
    name: str,
    whole: str,
    tokenizer: BPETokenizer,
    peers: Peers,
    quick: bool,
) -> None:
    """Encoding and decoding one long text, one thread."""
    rounds = 2 if quick else 7
    part = whole[: 1_000_000 if quick else 4_000_000]
    data, short = whole.encode(), part[:1_000_000]
    size, part_size, short_size = (
        len(text.encode()) / 1e6 for text in (whole, part, short)
    )
    ids = tokenizer.encode_array(whole)
    listed = ids.tolist()
    encoders = {
        "ours": Entrant(
            lambda: ready(tokenizer, 1), lambda t: t.encode_array(data), size
        ),
        "gigatoken": Entrant(peers.gigatoken, lambda g: g.encode(data), size),
        "fastokens": Entrant(peers.fastokens, lambda f: f.encode_ordinary(whole), size),
        "tiktoken": Entrant(
            peers.tiktoken, lambda t: t.encode_ordinary(part), part_size
        ),
    }
    decoders = {
        "ours": Entrant(lambda: tokenizer, lambda t: t.decode_bytes(ids), size),
        "tiktoken": Entrant(peers.tiktoken, lambda t: t.decode_bytes(listed), size),
    }
    for what, entrants in (("one", encoders), ("decode", decoders)):
        here = {
            f"{name} {what} {who}": entrant
            for who, entrant in entrants.items()
            if attempt(entrant.make)
        }
        found |= race(here, rounds, 1)
    tiktoken, tokenizers = attempt(peers.tiktoken), attempt(peers.tokenizers)
    if tiktoken:
        assert tiktoken.encode_ordinary(part) == tokenizer.encode(part)
        if name == "prose":
            small_calls(found, tokenizer, tiktoken)
    if tokenizers:
        seconds = best(lambda: tokenizers.encode(short), 1, 1)
        found[f"{name} one tokenizers"] = short_size / seconds


def small_calls(
    found: dict[str, float], tokenizer: BPETokenizer, tiktoken: Any
) -> None:
    for who, call in (("", tokenizer.encode), (", tiktoken", tiktoken.encode_ordinary)):
        work = [call("Hello, world!") for _ in range(100)]
        del work
        seconds = best(
            lambda call=call: [call("Hello, world!") for _ in range(10_000)], 7, 1
        )
        found[f"13-byte call, microseconds{who}"] = seconds * 100


@numba.njit(nogil=True)
def count_down(n: int) -> int:
    """Work that needs no memory: an exclusive-or and shifts, each waiting for the last."""
    x = np.uint64(88172645463325252)
    for _ in range(n):
        x ^= x << np.uint64(13)
        x ^= x >> np.uint64(7)
        x ^= x << np.uint64(17)
    return x


def ceiling(threads: int) -> float:
    """How much faster the machine does such work with ``threads`` threads than with one."""
    n, one, more = 30_000_000, [], []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(8):
            start = time.perf_counter()
            count_down(n * threads)
            middle = time.perf_counter()
            list(pool.map(count_down, [n] * threads))
            one.append(middle - start)
            more.append(time.perf_counter() - middle)
    return min(one) / min(more)
