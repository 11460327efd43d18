"""What chapter 3 says, measured: ``python -m book.experiments.tokens --data FOLDER``.

FOLDER holds English books (``books_en``), sentences in forty languages (``flores_langid``)
and GPT-2's vocabulary (``gpt2_vocab``). Half a minute on one core.
"""

import argparse
import gzip
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import zstandard

from book.experiments.record import record
from hornbook.tokenizer import reference
from hornbook.tokenizer.base import Tokenizer
from hornbook.tokenizer.bpe import BPETokenizer, Vocabulary
from hornbook.tokenizer.config import TokenizerConfig
from hornbook.tokenizer.openai import read_gpt2
from hornbook.tokenizer.pretokenize import split
from hornbook.tokenizer.show import visible
from hornbook.tokenizer.train import train_tokenizer

BOOK_BYTES = 8_000_000  # to learn from
SIZES = (512, 1024, 2048, 4096, 8192, 16_384, 32_768)
PATTERN = "gpt4"
D_MODEL = 768


def main() -> None:
    """Every experiment, and the file of each."""
    parser = argparse.ArgumentParser(description="Measure what chapter 3 shows.")
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    books = "".join(itertools.islice(_books(data), 60))
    learn, held = books[:BOOK_BYTES], books[BOOK_BYTES : BOOK_BYTES + 1_000_000]
    settings = TokenizerConfig(kind="bpe", vocab_size=max(SIZES), pattern=PATTERN)
    largest = train_tokenizer(settings, [learn], threads=1)
    assert isinstance(largest, BPETokenizer)
    merges = list(largest.vocabulary.pairs)
    record("03/merges.json", first_merges(largest))
    record("03/pieces.json", pieces(learn))
    record("03/sizes.json", sizes(merges, {"books": held, "Python": _python()}))
    record("03/languages.json", languages(data, largest))
    record("03/order.json", order(largest, held))
    record("03/quadratic.json", quadratic(largest, held))


def _books(data: Path) -> Iterator[str]:
    for path in sorted((data / "books_en").glob("*.jsonl.zst")):
        with zstandard.open(path, "rb") as lines:
            for line in lines.read().splitlines():
                yield msgspec.json.decode(line)["text"]


def _python() -> str:
    files = (Path(argparse.__file__).parent / "asyncio").glob("*.py")
    return "".join(path.read_text(encoding="utf-8") for path in sorted(files))


def first_merges(tokenizer: BPETokenizer) -> dict[str, Any]:
    """The first merges, and the longest tokens."""
    tokens = [visible(t).replace("␣", "·") for t in tokenizer.vocabulary.tokens]
    longest = sorted(tokens[256:], key=lambda t: (-len(t), t))
    letters = [t for t in longest if t.strip("·").isalpha()]
    return {
        "first": tokens[256:280],
        "later": tokens[5000:5012],
        "longest": letters[:8],
    }


def pieces(text: str) -> dict[str, Any]:
    """How few distinct pieces make up most of a text."""
    counts = np.array(sorted(Counter(split(text, PATTERN)).values(), reverse=True))
    cover = np.cumsum(counts) / counts.sum()
    ranks = np.unique(np.geomspace(1, len(counts), 40).astype(int))
    return {
        "bytes": len(text.encode()),
        "pieces": int(counts.sum()),
        "distinct": len(counts),
        "half": int(np.searchsorted(cover, 0.5)) + 1,
        "nine_tenths": int(np.searchsorted(cover, 0.9)) + 1,
        "cover": [(int(rank), float(cover[rank - 1])) for rank in ranks],
    }


def sizes(merges: list[tuple[int, int]], texts: dict[str, str]) -> dict[str, Any]:
    """Bytes per token for vocabularies cut from one list of merges."""
    rows = []
    for size in SIZES:
        room = size - 256 - 7
        tokenizer = BPETokenizer(Vocabulary.trained(merges[:room]), PATTERN)
        row: dict[str, Any] = {"size": size, "embedding": size * D_MODEL}
        for name, text in texts.items():
            ids = tokenizer.encode_array(text)
            row[name] = len(text.encode()) / len(ids)
            row[f"{name}, used"] = len(np.unique(ids)) / len(
                tokenizer.vocabulary.tokens
            )
        rows.append(row)
    return {"learned": BOOK_BYTES, "d_model": D_MODEL, "rows": rows}


def languages(data: Path, ours: Tokenizer) -> dict[str, Any]:
    """Tokens that the same sentences take in each language, beside English."""
    with gzip.open(data / "flores_langid" / "flores_dev400.jsonl.gz") as lines:
        rows = [msgspec.json.decode(line) for line in lines]
    by_language: dict[str, list[str]] = {}
    for row in rows:
        by_language.setdefault(row["lang"], []).append(row["text"])
    every = [text for texts in by_language.values() for text in texts[200:]]
    settings = TokenizerConfig(kind="bpe", vocab_size=16_384, pattern=PATTERN)
    vocab = data / "gpt2_vocab"
    kinds = {
        "GPT-2": read_gpt2(vocab / "vocab.bpe", vocab / "encoder.json"),
        "English": ours,
        "all": train_tokenizer(settings, every, threads=1),
    }
    found = []
    for language, texts in sorted(by_language.items()):
        text = "\n".join(texts[:200])
        row: dict[str, Any] = {"language": language, "bytes": len(text.encode())}
        row |= {name: len(kind.encode_array(text)) for name, kind in kinds.items()}
        found.append(row)
    return {"sentences": 200, "rows": found}


def order(tokenizer: BPETokenizer, text: str) -> dict[str, Any]:
    """Merging in the order learned, beside taking the longest token that fits."""
    tokens = set(tokenizer.vocabulary.tokens)
    longest = max(map(len, tokens))
    words = Counter(piece.encode() for piece in split(text[:200_000], PATTERN))
    greedy = merged = differ = 0
    example = None
    for word, count in words.items():
        mine = [tokenizer.token_bytes(t) for t in tokenizer.encode_array(word).tolist()]
        theirs = _longest_first(word, tokens, longest)
        merged += count * len(mine)
        greedy += count * len(theirs)
        differ += count * (mine != theirs)
        if mine != theirs and word.strip().isalpha() and word.islower():
            shown = (" ".join(t.decode() for t in p).strip() for p in (mine, theirs))
            example = max(filter(None, (example, (count, *shown))))
    return {
        "pieces": words.total(),
        "merged": merged,
        "longest_first": greedy,
        "differ": differ / words.total(),
        "example": example,
    }


def _longest_first(word: bytes, tokens: set[bytes], longest: int) -> list[bytes]:
    found = []
    while word:
        size = min(len(word), longest)
        while word[:size] not in tokens:
            size -= 1
        found.append(word[:size])
        word = word[size:]
    return found


def quadratic(tokenizer: BPETokenizer, text: str) -> dict[str, Any]:
    """Milliseconds for one piece without a blank, by its length: readable path and kernels.

    The least of three, or of twenty.
    """
    pairs, made = tokenizer.vocabulary.pairs, tokenizer.vocabulary.made
    ranks = {pair: rank for rank, pair in enumerate(pairs)}
    becomes = dict(zip(pairs, made, strict=True))
    letters = (
        "".join(filter(str.isalpha, text[:20_000])).encode("ascii", "ignore").lower()
    )
    rows = []
    for size in (64, 128, 256, 512, 1024, 2048):
        piece = letters[:size]
        slow = _least(lambda p=piece: reference.encode(list(p), ranks, becomes), 3)
        fast = _least(lambda p=piece: tokenizer.encode_array(p), 20)
        assert reference.encode(list(piece), ranks, becomes) == tokenizer.encode(piece)
        rows.append({"size": size, "reference": slow, "kernels": fast})
    return {"rows": rows}


def _least(work: Callable[[], Any], times: int) -> float:
    """Milliseconds of processor time."""
    spent = []
    for _ in range(times):
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    return 1e3 * min(spent)


if __name__ == "__main__":
    main()
