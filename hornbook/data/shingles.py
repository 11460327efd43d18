"""Shingles: runs of n words of a text, each as one 64-bit number.

Everything runs over the UTF-8 bytes of an Arrow batch; no Python string is made per word.
"""

from functools import cache

import numpy as np
from numba import njit
from numba.cpython.unsafe.numbers import trailing_zeros as _trailing_zeros

from hornbook.data.characters import (
    DIGIT,
    LETTER,
    TABLE_SIZE,
    code_point,
    kinds,
    mix,
)

SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd
FNV_START, FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
SEPARATOR, PART, WHOLE = 0, 1, 2  # ends a word, belongs to one, is one by itself

ONES = np.uint64(0x0101010101010101)  # times a byte: that byte in all eight places
TOPS = np.uint64(0x80) * ONES


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
    nowhere = np.empty((0, 2), np.int64)
    words = find_words(buffer, start, end, role, folded, out, nowhere)
    return join_words(out, words, n, ring)


@njit(nogil=True, cache=True)
def join_words(words, count, n, ring):
    """Replace the first ``count`` hashes of words by those of runs of ``n``; how many."""
    leaving = np.uint64(1)
    for _ in range(n):
        leaving *= SPREAD
    ring[:n] = 0
    rolling, slot = np.uint64(0), 0
    for i in range(count):
        word = words[i]
        rolling = rolling * SPREAD + (word - ring[slot] * leaving)
        ring[slot] = word
        slot = slot + 1 if slot + 1 < n else 0
        if i + 1 >= n:
            words[i + 1 - n] = mix(rolling)
    return max(count + 1 - n, 0)


@njit(nogil=True, cache=True)
def find_words(buffer, start, end, role, folded, words, places):
    """Write the 64-bit hash of every word of one text to ``words``; returns how many.

    ``places`` gets where each one's bytes begin and end, unless it has no rows. Words of
    ASCII letters are taken eight bytes at a time, all others one character at a time.
    """
    count = 0
    i = start
    while i < end:
        h, at = FNV_START, i
        while at + 8 <= end:
            eight = load_eight(buffer, at)
            inside, lower = word_bytes(eight)
            length = trailing_zeros(~inside & TOPS) >> 3  # 8: all are inside
            h = add_letters(h, lower, length)
            if length < 8:
                break
            at += 8
        else:  # too near the end to look at eight
            i, count = _any_word(buffer, i, end, role, folded, words, places, count)
            continue
        if buffer[at + length] >= 0x80:  # may be a letter
            i, count = _any_word(buffer, i, end, role, folded, words, places, count)
        elif at + length > i:
            words[count] = h ^ (h >> np.uint64(29))
            if places.size:
                places[count, 0], places[count, 1] = i, at + length
            count += 1
            i = at + length + 1
        else:  # on to where a word may begin
            i += trailing_zeros(inside | (eight & TOPS)) >> 3
    return count


@njit(nogil=True, cache=True)
def _any_word(buffer, i, end, role, folded, words, places, count):
    """The word that begins at ``i``, if any, and what ends it: ``(next place, count)``."""
    begin = i
    h = FNV_START
    while i < end:
        code, size = code_point(buffer, i, end)
        what = role[code] if code < TABLE_SIZE else SEPARATOR
        if what != PART and i > begin:
            break
        i += size
        if what == SEPARATOR:
            return i, count
        letter = np.uint64(folded[code])
        if what == WHOLE:
            words[count] = letter * FNV_PRIME
            break
        h = (h ^ letter) * FNV_PRIME
        words[count] = h ^ (h >> np.uint64(29))
    if places.size:
        places[count, 0], places[count, 1] = begin, min(i, end)
    return i, count + 1


@njit(nogil=True, inline="always")
def add_letters(h, letters, length):
    """The FNV-1a hash of a word after ``length`` more letters, of eight in one number."""
    for _ in range(length):
        h = (h ^ (letters & np.uint64(0xFF))) * FNV_PRIME
        letters >>= np.uint64(8)
    return h


@njit(nogil=True, inline="always")
def trailing_zeros(x):
    """How many bits lie below the lowest one of ``x`` that is set; 64 when none is."""
    return np.int64(_trailing_zeros(x))  # pyright: ignore[reportCallIssue]


@njit(nogil=True, inline="always")
def load_eight(buffer, i):
    """The bytes ``buffer[i:i + 8]`` as one number, the first one lowest."""
    at = np.uint64(i)
    eight = np.uint64(0)
    for k in range(8):
        eight |= np.uint64(buffer[at + np.uint64(k)]) << np.uint64(8 * k)
    return eight


@njit(nogil=True, inline="always")
def word_bytes(eight):
    """``(which, lower)`` of eight bytes: the top bit of each ASCII letter, digit and
    underscore, and the bytes with letters in lower case."""
    ascii_ = eight & ~TOPS
    small = ascii_ | np.uint64(0x20) * ONES
    letters = between(small, 0x61, 0x7A)
    others = between(ascii_, 0x30, 0x39) | between(ascii_, 0x5F, 0x5F)
    which = (letters | others) & TOPS & ~eight
    return which, eight | (letters & TOPS & ~eight) >> np.uint64(2)


@njit(nogil=True, inline="always")
def between(bytes_, low, high):
    """The top bit of each byte from ``low`` to ``high``; all bytes below 0x80."""
    least = bytes_ + np.uint64(0x80 - low) * ONES
    return least & ~(bytes_ + np.uint64(0x7F - high) * ONES)


@njit(nogil=True, cache=True)
def slot_of(keys, key):
    """Where ``key`` stands in the hash table ``keys`` of 2^n slots, or the free one for it."""
    mask = np.uint64(keys.size - 1)
    at = (key >> np.uint64(32)) & mask
    while keys[at] != 0 and keys[at] != key:
        at = (at + np.uint64(1)) & mask
    return at
