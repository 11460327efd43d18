"""Shingles: runs of n words of a text, each as one 64-bit number.

Everything runs over the UTF-8 bytes of an Arrow batch; no Python string is made per word.
"""

from functools import cache

import numpy as np
from numba import njit

from hornbook.data.characters import (
    DIGIT,
    LETTER,
    TABLE_SIZE,
    code_point,
    kinds,
    mix,
)

FNV_START, FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd
SEPARATOR, PART, WHOLE = 0, 1, 2  # ends a word, belongs to one, is one by itself


@cache
def word_tables() -> tuple[np.ndarray, np.ndarray]:
    """``(role, folded)`` per code point: what it does to words, and its lower case or 0.

    Scripts written without blanks (Chinese, Japanese, Thai and others) give one word per
    character; everywhere else words are runs of letters, digits, marks and underscores.
    """
    kind = kinds()
    role = np.where((kind == LETTER) | (kind == DIGIT), PART, SEPARATOR).astype(
        np.uint8
    )
    role[ord("_")] = PART
    for first, last in (
        (0x0E00, 0x0EFF),  # Thai, Lao
        (0x1000, 0x109F),  # Myanmar
        (0x1780, 0x17FF),  # Khmer
        (0x2E80, 0xA4CF),  # Chinese, Japanese, Yi
        (0xF900, 0xFAFF),  # compatibility ideographs
        (0x20000, TABLE_SIZE - 1),  # rare ideographs
    ):
        span = role[first : last + 1]
        span[span == PART] = WHOLE
    folded = np.arange(TABLE_SIZE, dtype=np.uint32)
    for code in range(0x2000):
        lower = chr(code).lower()
        if len(lower) == 1:
            folded[code] = ord(lower)
    folded[role == SEPARATOR] = 0
    return role, folded


@njit(nogil=True, cache=True)
def shingle_hashes(buffer, start, end, role, folded, n, ring, out):
    """Write the 64-bit hash of every run of ``n`` words of one text to ``out``.

    Returns how many there are; 0 for a text of fewer than ``n`` words. ``ring`` is scratch
    space for ``n`` numbers; ``out`` needs room for one per two bytes, and one more.
    """
    leaving = np.uint64(1)
    for _ in range(n):
        leaving *= SPREAD
    ring[:n] = 0
    rolling, word, h = np.uint64(0), np.uint64(0), FNV_START
    words = found = slot = 0
    inside = False
    i = start
    while i <= end:
        what, letter, size = SEPARATOR, np.uint64(0), 1
        if i < end and buffer[i] < 0x80:
            letter = np.uint64(folded[buffer[i]])
            if letter:  # most bytes of most texts take this way
                h = (h ^ letter) * FNV_PRIME
                inside = True
                i += 1
                continue
        elif i < end:
            code, size = code_point(buffer, i, end)
            if code < TABLE_SIZE:
                what, letter = role[code], np.uint64(folded[code])
        i += size
        if what == PART:
            h = (h ^ letter) * FNV_PRIME
            inside = True
            continue
        for turn in range(
            2
        ):  # the word that ends here, then one that is a single character
            if turn == 0 and inside:
                word = h ^ (h >> np.uint64(29))
            elif turn == 1 and what == WHOLE:
                word = letter * FNV_PRIME
            else:
                continue
            rolling = rolling * SPREAD + word - ring[slot] * leaving
            ring[slot] = word
            slot = slot + 1 if slot + 1 < n else 0
            words += 1
            if words >= n:
                out[found] = mix(rolling)
                found += 1
        h, inside = FNV_START, False
    return found
