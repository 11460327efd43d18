"""A byte n-gram model with interpolated Kneser-Ney smoothing: the classic to beat.

The next byte is predicted from the ``order - 1`` bytes before it. Long contexts are rare,
so each order keeps a discount of its counts for the next shorter one, and the shorter
ones count not how often a byte came but after how many *different* bytes (Kneser and Ney
1995; Chen and Goodman 1999): "Francisco" is frequent, but only after "San".

An n-gram of up to 8 bytes is one 64-bit number, first byte highest. A table of counts is
then a sorted array, and counting is sorting: no hash tables, and everything is NumPy.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

MAX_ORDER = 8  # bytes in 64 bits
CHUNK = (
    1 << 23
)  # bytes counted at a time: bounds the memory to the tables plus 64 MiB or so


@dataclass(frozen=True)
class Level:
    """The n-grams of one length: sorted keys, their counts, and sums over each context.

    A context is the n-gram without its last byte. ``totals`` is the sum of its counts,
    ``followers`` how many different bytes were seen after it.
    """

    keys: np.ndarray
    counts: np.ndarray
    contexts: np.ndarray
    totals: np.ndarray
    followers: np.ndarray
    discount: float


class ByteNgram:
    """Trained by :meth:`train`; gives the probability of every byte of a text."""

    def __init__(self, levels: list[Level]) -> None:
        self.levels = levels  # of length 1, 2, ..., order

    @classmethod
    def train(cls, texts: Iterable[bytes], order: int = 5) -> "ByteNgram":
        """Count the n-grams of ``texts``, taken as one stream of bytes."""
        if not 1 <= order <= MAX_ORDER:
            raise ValueError(f"order must be 1 to {MAX_ORDER}, not {order}")
        keys, counts = _count(texts, order)
        levels = [_level(keys, counts)]
        for length in range(order - 1, 0, -1):
            # An n-gram counts once for every different byte in front of it: the keys of
            # the longer table without their first byte.
            keys, counts = np.unique(keys & _mask(length), return_counts=True)
            levels.append(_level(keys, counts))
        return cls(levels[::-1])

    def probabilities(self, text: bytes) -> np.ndarray:
        """p of each byte of ``text`` given those before it, (len(text),) float64."""
        order = len(self.levels)
        parts = [
            self._interpolated(_packed(piece, order))
            for piece in _pieces([text], order)
        ]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _interpolated(self, keys: np.ndarray) -> np.ndarray:
        """p of the last byte of each n-gram, from the uniform guess up."""
        p = np.full(len(keys), 1 / 256)
        for length, level in enumerate(self.levels, start=1):
            grams = keys & _mask(length)
            count = _look_up(level.keys, level.counts, grams)
            context = grams >> np.uint64(8)
            total = _look_up(level.contexts, level.totals, context)
            followers = _look_up(level.contexts, level.followers, context)
            seen = total > 0  # an unseen context changes nothing
            kept = (
                np.maximum(count - level.discount, 0) + level.discount * followers * p
            )
            p = np.where(seen, kept / np.maximum(total, 1), p)
        return p

    def bits_per_byte(self, text: bytes) -> float:
        """Bits that ``text`` costs under the model, per byte."""
        return float(-np.log2(self.probabilities(text)).mean())


def _pieces(texts: Iterable[bytes], order: int) -> Iterator[np.ndarray]:
    """The stream in chunks, each led by the ``order - 1`` bytes before it (zeros at first)."""
    lead = np.zeros(order - 1, np.uint8)
    held: list[np.ndarray] = []
    size = 0
    for text in texts:
        for start in range(0, len(text), CHUNK):
            held.append(np.frombuffer(text, np.uint8)[start : start + CHUNK])
            size += len(held[-1])
            if size >= CHUNK:
                piece = np.concatenate([lead, *held])
                yield piece
                lead, held, size = piece[len(piece) - order + 1 :], [], 0
    if size:
        yield np.concatenate([lead, *held])


def _packed(piece: np.ndarray, order: int) -> np.ndarray:
    """Every n-gram of ``order`` bytes in ``piece``, as 64-bit numbers."""
    n = len(piece) - order + 1
    keys = np.zeros(n, np.uint64)
    for k in range(order):
        keys = (keys << np.uint64(8)) | piece[k : k + n]
    return keys


def _count(texts: Iterable[bytes], order: int) -> tuple[np.ndarray, np.ndarray]:
    """The distinct n-grams, sorted, and how often each occurs."""
    keys, counts = np.zeros(0, np.uint64), np.zeros(0, np.int64)
    for piece in _pieces(texts, order):
        new, times = np.unique(_packed(piece, order), return_counts=True)
        keys, place = np.unique(np.concatenate([keys, new]), return_inverse=True)
        counts = np.bincount(place, np.concatenate([counts, times])).astype(np.int64)
    return keys, counts


def _level(keys: np.ndarray, counts: np.ndarray) -> Level:
    contexts, first = np.unique(keys >> np.uint64(8), return_index=True)
    totals = np.add.reduceat(counts, first) if len(first) else counts
    followers = np.diff(np.append(first, len(keys)))
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    discount = once / (once + 2 * twice) if once else 0.5
    return Level(keys, counts, contexts, totals, followers, discount)


def _look_up(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The value of each wanted key; 0 for one that isn't there."""
    if not len(keys):
        return np.zeros(len(wanted), np.int64)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], 0)


def _mask(length: int) -> np.uint64:
    """Keeps the last ``length`` bytes of a packed n-gram."""
    return np.uint64((1 << 8 * length) - 1)
