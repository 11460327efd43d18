"""Which places of the training shards are most like a text.

Like means: many of the text's runs of three tokens (shorter texts: of two, or one) stand
close together there, and rare ones count for more. One pass over the memory-mapped ids,
without an index; of a large run only the beginning is searched, and that is said.
"""

from pathlib import Path
from typing import Any

import numpy as np

from hornbook.data.shards import Shards
from hornbook.tokenizer.base import Tokenizer

RUN = 3  # tokens
MOST_TOKENS = 100_000_000  # searched: some seconds
AT_ONCE = 1 << 22  # tokens
FOUND = 5  # places


def nearest(folder: Path, tokenizer: Tokenizer, ids: list[int]) -> dict[str, Any]:
    """The best places in the shards of ``folder``, each with its file and document."""
    shards = Shards.open(folder)
    searched = min(shards.tokens, MOST_TOKENS)
    places: list[tuple[float, int, int]] = []
    if ids:
        places = _best(shards, searched, np.array(ids, np.int64))
    return {
        "searched": searched,
        "tokens": shards.tokens,
        "places": [
            _told(shards, tokenizer, score, start, length)
            for score, start, length in places
        ],
    }


def _best(
    shards: Shards, searched: int, ids: np.ndarray
) -> list[tuple[float, int, int]]:
    """``(score, start, length)``: the share of the text's weight that is found there."""
    run = min(RUN, len(ids))
    wanted, length = np.unique(_runs(ids, run, shards.vocab_size)), len(ids)
    counts = np.zeros(len(wanted), np.int64)
    hits: list[tuple[np.ndarray, np.ndarray]] = []  # where, and which of wanted
    for start in range(0, searched, AT_ONCE):
        count = min(AT_ONCE + run - 1, searched - start)
        found = _runs(shards.read(start, count), run, shards.vocab_size)
        which = np.searchsorted(wanted, found).clip(max=len(wanted) - 1)
        at = np.flatnonzero(wanted[which] == found)
        counts += np.bincount(which[at], minlength=len(wanted))
        hits.append((at + start, which[at]))
    where = np.concatenate([at for at, _ in hits])
    which = np.concatenate([of for _, of in hits])
    weights = 1 / np.log2(2 + counts)
    return _windows(where, which, weights, length)


def _windows(
    where: np.ndarray, which: np.ndarray, weights: np.ndarray, length: int
) -> list[tuple[float, int, int]]:
    """The places of ``length`` tokens whose hits weigh most, none overlapping another."""
    if not len(where):
        return []
    sums = np.concatenate([[0.0], np.cumsum(weights[which])])
    ends = np.searchsorted(where, where + length)
    scores = sums[ends] - sums[: len(where)]
    chosen: list[tuple[float, int, int]] = []
    for first in np.argsort(-scores, kind="stable")[: 50 * FOUND].tolist():
        start = int(where[first])
        if all(abs(start - other) >= length for _, other, _ in chosen):
            different = np.unique(which[first : int(ends[first])])
            share = float(weights[different].sum() / weights.sum())
            chosen.append((share, start, length))
    return sorted(chosen, reverse=True)[:FOUND]


def _runs(ids: np.ndarray, run: int, size: int) -> np.ndarray:
    """Each ``run`` tokens in a row as one number."""
    count = max(0, len(ids) - run + 1)
    numbers = np.zeros(count, np.int64)
    for place in range(run):
        numbers = numbers * size + ids[place : place + count]
    return numbers


def _told(
    shards: Shards, tokenizer: Tokenizer, score: float, start: int, length: int
) -> dict[str, Any]:
    around = max(0, start - 16)
    count = min(length + 32, shards.tokens - around)
    number = int(np.searchsorted(shards.starts, start, side="right")) - 1
    return {
        "score": round(score, 4),
        "shard": shards.index["shards"][number]["file"],
        "token": start - int(shards.starts[number]),
        "document": shards.document_id_at(start),
        "before": tokenizer.decode(shards.read(around, start - around)),
        "text": tokenizer.decode(
            shards.read(start, min(length, shards.tokens - start))
        ),
        "after": tokenizer.decode(
            shards.read(start + length, max(0, around + count - start - length))
        ),
    }
