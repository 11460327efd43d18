"""What bench/tokenizer.py measures, on which text, for one number of threads."""

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tokenizer_encoding import ceiling, encoding
from tokenizer_peers import Peers
from tokenizer_timing import PATTERN, ROOT, VOCAB
from tokenizer_training import start_up, training, training_memory

from hornbook.tokenizer.config import TokenizerConfig
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
    if threads > 1:
        found[f"ceiling, {threads} threads over 1"] = ceiling(threads)
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
