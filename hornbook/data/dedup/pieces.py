"""The pieces of texts that may be repeats: lines, paragraphs, runs of words.

Each function takes a batch of texts and gives ``(hashes, places, ends)``: uint64 per piece,
the bytes ``places[i, 0]:places[i, 1]`` that go when piece ``i`` is cut, and where the pieces
of each text end. Different kinds of pieces never share a hash, except by chance.
"""

import numpy as np

from hornbook.data.characters import mix
from hornbook.data.dedup.json_scan import next_line
from hornbook.data.jit import kernel
from hornbook.data.shingles import (
    find_words,
    join_words,
    load_eight,
    word_tables,
)

Pieces = tuple[np.ndarray, np.ndarray, np.ndarray]

BLANK = 32  # a byte up to this one counts as blank
LINE, PARAGRAPH = np.uint64(1), np.uint64(2)


def lines(buffer: np.ndarray, offsets: np.ndarray, min_bytes: int) -> Pieces:
    """Lines of ``min_bytes`` or more without the blanks around them; cut with their end."""
    pieces = _room(offsets, min_bytes)
    _lines(buffer, offsets, min_bytes, *pieces)
    return _filled(*pieces)


def paragraphs(buffer: np.ndarray, offsets: np.ndarray, min_bytes: int) -> Pieces:
    """What stands between blank lines, if it has ``min_bytes``; cut with those after it."""
    pieces = _room(offsets, min_bytes)
    _paragraphs(buffer, offsets, min_bytes, *pieces)
    return _filled(*pieces)


def runs(buffer: np.ndarray, offsets: np.ndarray, words: int) -> Pieces:
    """All runs of ``words`` words, whatever blanks and marks stand between the words."""
    pieces = _room(offsets, 2)
    _runs(buffer, offsets, *word_tables(), words, *pieces)
    return _filled(*pieces)


def _room(offsets: np.ndarray, bytes_each: int) -> Pieces:
    size = int(offsets[-1] - offsets[0]) // max(bytes_each, 1) + len(offsets)
    places = np.empty((size, 2), np.int64)
    return np.empty(size, np.uint64), places, np.zeros(len(offsets), np.int64)


def _filled(hashes: np.ndarray, places: np.ndarray, ends: np.ndarray) -> Pieces:
    return hashes[: ends[-1]], places[: ends[-1]], ends


@kernel
def _lines(buffer, offsets, min_bytes, hashes, places, ends):
    count = 0
    for d in range(offsets.size - 1):
        start = offsets[d]
        while start < offsets[d + 1]:
            following = next_line(buffer, start, offsets[d + 1])
            first, last = _trimmed(buffer, start, following)
            if last > first and last - first >= min_bytes:
                hashes[count] = _hash(buffer, first, last, LINE)
                places[count, 0], places[count, 1] = start, following
                count += 1
            start = following
        ends[d + 1] = count


@kernel
def _paragraphs(buffer, offsets, min_bytes, hashes, places, ends):
    count = 0
    for d in range(offsets.size - 1):
        begin, first, last = np.int64(-1), np.int64(0), np.int64(0)
        start, after_blank = offsets[d], True
        while start <= offsets[d + 1]:
            following = next_line(buffer, start, offsets[d + 1])
            left, right = _trimmed(buffer, start, following)
            if start == offsets[d + 1] or (after_blank and right > left):
                if begin >= 0 and last - first >= min_bytes:
                    hashes[count] = _hash(buffer, first, last, PARAGRAPH)
                    places[count, 0], places[count, 1] = begin, start
                    count += 1
                begin, first = start, left
            if start == offsets[d + 1]:
                break
            after_blank = right <= left
            last = last if after_blank else right
            start = following
        ends[d + 1] = count


@kernel
def _runs(buffer, offsets, role, folded, n, hashes, places, ends):
    ring = np.zeros(n, np.uint64)
    for d in range(offsets.size - 1):
        begin, end = offsets[d], offsets[d + 1]
        mine, where = hashes[ends[d] :], places[ends[d] :]
        words = find_words(buffer, begin, end, role, folded, mine, where)
        count = join_words(mine, words, n, ring)
        for i in range(count):
            where[i, 1] = where[i + n - 1, 1]
            mine[i] |= np.uint64(1)  # never 0
        ends[d + 1] = ends[d] + count


@kernel
def _trimmed(buffer, first, last):
    """``first`` and ``last`` without the blanks at both ends."""
    while first < last and buffer[first] <= BLANK:
        first += 1
    while last > first and buffer[last - 1] <= BLANK:
        last -= 1
    return first, last


@kernel
def _hash(buffer, first, last, kind):
    """64 bits of the bytes ``buffer[first:last]``, never 0."""
    h = np.uint64(last - first) << np.uint64(2) | kind
    at = first
    while at + 8 <= last:
        h = mix(h ^ load_eight(buffer, at))
        at += 8
    rest = np.uint64(0)
    for i in range(at, last):
        rest = rest << np.uint64(8) | np.uint64(buffer[i])
    return mix(h ^ rest) | np.uint64(1)
