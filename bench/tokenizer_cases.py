"""What bench/tokenizer.py measures of encoding and decoding, for one number of threads."""

import base64
import gzip
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tokenizer_timing import PATTERN, ROOT, VOCAB, best
from tokenizer_training import start_up, training, training_memory

from hornbook.tokenizer.bpe import BPETokenizer
from hornbook.tokenizer.config import TokenizerConfig
from hornbook.tokenizer.pretokenize import pattern_regex
from hornbook.tokenizer.train import train_bpe

Texts = dict[str, list[str]]


def measure(
    threads: int, quick: bool, data: Path | None, parts: list[str]
) -> dict[str, float]:
    """The figures of some parts: seconds for training, MB/s for encoding and decoding."""
    found: dict[str, float] = {}
    folder = data or Path(
        os.environ.get("HORNBOOK_TEST_DATA", ROOT.parent / "shared/data")
    )
    train, held_out = corpora(folder, 6_000_000 if quick else 100_000_000)
    vocab = 8_000 if quick else VOCAB
    if threads == 1 and "start" in parts:
        found |= start_up()
    if threads == 1 and "memory" in parts and not quick:
        found["train, MB beyond the text"] = training_memory(train, vocab)
    if "train" in parts:
        training(found, train, vocab, threads)
    tokenizer = train_bpe(
        TokenizerConfig(vocab_size=vocab, pattern=PATTERN), train, threads
    )
    peers = Peers(tokenizer)
    for name, texts in held_out.items():
        if name in parts:
            encoding(found, name, texts, tokenizer, peers, threads, quick)
    return found


def read(path: Path) -> Iterator[str]:
    if path.name.endswith(".zst"):
        import zstandard

        lines = zstandard.decompress(path.read_bytes()).splitlines()
    elif path.name.endswith(".gz"):
        lines = gzip.decompress(path.read_bytes()).splitlines()
    else:
        yield path.read_text(errors="replace")
        return
    for line in lines:
        record = json.loads(line)
        yield (
            record["text"]
            if "text" in record
            else max(map(str, record.values()), key=len)
        )


def corpora(folder: Path, size: int) -> tuple[list[str], Texts]:
    """60 % books, 20 % code, 20 % many languages to train; as much again held out."""
    python = Path(np.__file__).parents[1], Path(os.__file__).parent
    files = {
        "prose": sorted(folder.glob("books_en/*.jsonl.zst")),
        "code": sorted(path for base in python for path in base.rglob("*.py")),
        "multi": sorted(
            path
            for pattern in (
                "books_multi/*",
                "flores_langid/*.gz",
                "tinystories_ru/*.gz",
            )
            for path in folder.glob(pattern)
        ),
    }
    train: list[str] = []
    held_out: Texts = {}
    for (name, paths), share in zip(files.items(), (0.6, 0.2, 0.2), strict=True):
        chunks = [
            chunk for path in paths for text in read(path) for chunk in pieces_of(text)
        ]
        order = np.random.default_rng(1).permutation(len(chunks))
        taken = [chunks[i] for i in order]
        edge, total = 0, 0
        while edge < len(taken) * 3 // 4 and total < size * share:
            total += len(taken[edge].encode(errors="replace"))
            edge += 1
        train += taken[:edge]
        rest, total = [], 0
        for text in taken[edge:]:
            if total > min(size / 5, 20_000_000):
                break
            rest.append(text.encode(errors="replace").decode())
            total += len(rest[-1].encode())
        held_out[name] = rest
    return [text.encode(errors="replace").decode() for text in train], held_out


def pieces_of(text: str, size: int = 20_000) -> Iterator[str]:
    """Documents of about ``size`` characters, cut between lines."""
    at = 0
    while at < len(text):
        end = text.find("\n", at + size) + 1 or len(text)
        yield text[at:end]
        at = end


class Peers:
    """The same vocabulary in every library that is installed."""

    def __init__(self, tokenizer: BPETokenizer) -> None:
        self.folder = Path(tempfile.mkdtemp())
        tokenizer.save(self.folder)
        self.ranks = {token: i for i, token in enumerate(tokenizer.vocabulary.tokens)}
        lines = [b"%s %d\n" % (base64.b64encode(t), i) for t, i in self.ranks.items()]
        (self.folder / "vocab.tiktoken").write_bytes(b"".join(lines))

    def tiktoken(self) -> Any:
        import tiktoken

        pattern = pattern_regex(PATTERN)
        return tiktoken.Encoding(
            "same", pat_str=pattern, mergeable_ranks=self.ranks, special_tokens={}
        )

    def tokenizers(self) -> Any:
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(self.folder / "tokenizer.json"))

    def gigatoken(self) -> Any:
        import gigatoken

        return gigatoken.Tokenizer.from_tiktoken(
            str(self.folder / "vocab.tiktoken"), pretokenizer="gpt4", special_tokens={}
        )

    def fastokens(self) -> Any:
        from fastokens._native import Tokenizer

        return Tokenizer.from_file(str(self.folder / "tokenizer.json"))


def encoding(
    found: dict[str, float],
    name: str,
    texts: list[str],
    tokenizer: BPETokenizer,
    peers: Peers,
    threads: int,
    quick: bool,
) -> None:
    rounds = 2 if quick else 7
    whole = "\n".join(texts)
    part = whole[: 1_000_000 if quick else 4_000_000]
    size, part_size = (len(text.encode()) / 1e6 for text in (whole, part))
    many = sum(len(text.encode()) for text in texts) / 1e6

    def note(what: str, megabytes: float, work: Callable[[], Any], times: int) -> None:
        found[f"{name} {what}"] = megabytes / best(work, times, threads)

    def cold(
        make: Callable[[], Any], work: Callable[[Any], Any], what: str, mb: float
    ) -> None:
        clock = time.process_time if threads == 1 else time.perf_counter
        speeds = []
        for _ in range(rounds):
            fresh = make()
            start = clock()
            work(fresh)
            speeds.append(mb / (clock() - start))
        found[f"{name} {what} cold"] = max(speeds)
        note(f"{what} warm", mb, lambda: work(fresh), rounds)

    def ours() -> BPETokenizer:
        fresh = BPETokenizer(tokenizer.vocabulary, PATTERN)
        fresh.encode_batch(["one text to set things up " * 40_000] * 4, threads)
        for encoder in fresh._free:
            encoder.clear()
        return fresh

    cold(ours, lambda t: t.encode_batch(texts, threads), f"many ours {threads}", many)
    if threads > 1:  # by the same clock
        fresh = ours()
        fresh.encode_batch(texts, 1)
        run = f"many ours 1 beside {threads} warm"
        note(run, many, lambda: fresh.encode_batch(texts, 1), rounds)
    gigatoken = attempt(peers.gigatoken)
    if gigatoken:
        parallel = threads > 1
        run = f"many gigatoken {threads}"
        cold(
            peers.gigatoken,
            lambda g: g.encode_batch(texts, parallel=parallel),
            run,
            many,
        )
    if threads > 1:
        return
    data = whole.encode()
    cold(ours, lambda t: t.encode_array(data), "one ours", size)
    if gigatoken:
        cold(peers.gigatoken, lambda g: g.encode(data), "one gigatoken", size)
    if attempt(peers.fastokens):
        cold(peers.fastokens, lambda f: f.encode_ordinary(whole), "one fastokens", size)
    tiktoken = attempt(peers.tiktoken)
    ids = tokenizer.encode_array(whole)
    note("decode ours", size, lambda: tokenizer.decode_bytes(ids), rounds)
    if tiktoken:
        assert tiktoken.encode_ordinary(part) == tokenizer.encode(part)
        note("one tiktoken", part_size, lambda: tiktoken.encode_ordinary(part), 3)
        listed = ids.tolist()
        note("decode tiktoken", size, lambda: tiktoken.decode_bytes(listed), 3)
        if name == "prose":
            small_calls(found, tokenizer, tiktoken)
    tokenizers = attempt(peers.tokenizers)
    if tokenizers:
        short = part[:1_000_000]
        mb = len(short.encode()) / 1e6
        note("one tokenizers", mb, lambda: tokenizers.encode(short), 1)


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


def attempt(make: Callable[[], Any]) -> Any:
    try:
        return make()
    except ImportError:
        return None
