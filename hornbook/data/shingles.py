"""Shingles: runs of n words of a text, each as one 64-bit number.

Everything runs over the UTF-8 bytes of an Arrow batch; no Python string is made per word.
"""

from functools import cache

import numpy as np
from numba.cpython.unsafe.numbers import trailing_zeros as _trailing_zeros

from hornbook.data.characters import (
    DIGIT,
    LETTER,
    TABLE_SIZE,
    code_point,
    kinds,
    mix,
)
from hornbook.data.jit import inlined, kernel

SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd
START = np.uint64(0x2545F4914F6CDD1D)  # the hash of no letters
SEPARATOR, PART, WHOLE = 0, 1, 2  # ends a word, belongs to one, is one by itself

BLOCK = 64  # bytes, as many as a number has bits
ONES = np.uint64(0x0101010101010101)  # times a byte: that byte in all eight places
TOPS = np.uint64(0x80) * ONES
# Makes small letters of capitals, leaves digits, and makes a sign of its own of "_".
SMALL = np.uint64(0x20) * ONES


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


@kernel
def shingle_hashes(buffer, start, end, role, folded, n, ring, out):
    """Write the 64-bit hash of every run of ``n`` words of one text to ``out``.

    Returns how many there are; 0 for a text of fewer than ``n`` words. ``ring`` is scratch
    space for ``n`` numbers; ``out`` needs room for one per two bytes, and one more.
    """
    nowhere = np.empty((0, 2), np.int64)
    words = find_words(buffer, start, end, role, folded, out, nowhere)
    return join_words(out, words, n, ring)


@kernel
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


@kernel
def find_words(buffer, start, end, role, folded, words, places):
    """Write the 64-bit hash of every word of one text to ``words``; returns how many.

    ``places`` gets where each one's bytes begin and end, unless it has no rows. Where the
    text is ASCII, words are found in the bits of 64 bytes at a time: a branch per byte
    would be guessed wrong at every end of a word. All else goes character by character.
    """
    count = 0
    i = start
    while i < end:
        near_end = i + BLOCK + 8 > buffer.size
        if near_end or buffer[i] >= 0x80 or buffer[i + 1] >= 0x80:
            i, count = _any_word(buffer, i, end, role, folded, words, places, count)
            continue
        inside, ascii_ = word_bits(buffer, i)
        limit = min(ascii_, end - i)  # bytes to look at
        at = 0
        while at < limit:
            left = inside >> np.uint64(at)
            at += trailing_zeros(left) if left else BLOCK
            if at >= limit:
                at = limit
                break
            length = trailing_zeros(~(inside >> np.uint64(at)))
            if at + length >= limit:
                if i + limit < end:
                    break  # it may go on behind what we look at
                length = limit - at
            words[count] = ascii_word(buffer, i + at, length)
            if places.size:
                places[count, 0], places[count, 1] = i + at, i + at + length
            count += 1
            at += length
        i += at
        if at < limit and (
            at == 0 or limit < BLOCK
        ):  # begun anew it would end so again
            i, count = _any_word(buffer, i, end, role, folded, words, places, count)
    return count


@inlined
def word_bits(buffer, i):
    """Of the 64 bytes at ``i``: a bit for each that is an ASCII letter, digit or underscore,
    and how many of them lie before the first byte that is not ASCII."""
    inside = foreign = np.uint64(0)
    for k in range(0, BLOCK, 8):
        eight = load_eight(buffer, i + k)
        inside |= top_bits(word_bytes(eight)) << np.uint64(k)
        foreign |= top_bits(eight & TOPS) << np.uint64(k)
    return inside, trailing_zeros(foreign)


@inlined
def top_bits(tops):
    """The top bits of eight bytes as one byte; all other bits of ``tops`` are 0."""
    return (tops * np.uint64(0x0002040810204081)) >> np.uint64(56)


@inlined
def ascii_word(buffer, i, length):
    """The hash of the word ``buffer[i : i + length]`` of ASCII letters, digits and
    underscores in either case."""
    h = START
    while length > 8:
        h = add_letters(h, load_eight(buffer, i) | SMALL)
        i += 8
        length -= 8
    mask = ~np.uint64(0) >> np.uint64(64 - 8 * length)
    return add_letters(h, (load_eight(buffer, i) | SMALL) & mask)


@kernel
def _any_word(buffer, i, end, role, folded, words, places, count):
    """The word that begins at ``i``, if any, and what ends it: ``(next place, count)``."""
    begin = i
    h = START
    letters, held = np.uint64(0), 0  # of ASCII, not yet in the hash
    while i < end:
        code, size = code_point(buffer, i, end)
        what = role[code] if code < TABLE_SIZE else SEPARATOR
        if what != PART and i > begin:
            break
        i += size
        if what == SEPARATOR:
            return i, count
        letter = np.uint64(folded[code])
        if letter < 0x80:
            letters |= (letter | (SMALL & np.uint64(0xFF))) << np.uint64(8 * held)
            held += 1
        if held == 8 or (held and letter >= 0x80):
            h = add_letters(h, letters)
            letters, held = np.uint64(0), 0
        if letter >= 0x80:
            h = add_letters(h, letter)
        if what == WHOLE:
            break
    words[count] = add_letters(h, letters) if held else h
    if places.size:
        places[count, 0], places[count, 1] = begin, min(i, end)
    return i, count + 1


@inlined
def add_letters(h, letters):
    """The hash of a word after up to eight more letters of ASCII, or one of any other kind.

    One to one for given ``h``, so words of up to eight letters never collide. The high half
    is folded onto the low one, for a product carries no difference downwards.
    """
    h = (h ^ letters) * SPREAD
    return h ^ (h >> np.uint64(32))


@inlined
def trailing_zeros(x):
    """How many bits lie below the lowest one of ``x`` that is set; 64 when none is."""
    return np.int64(_trailing_zeros(x))  # pyright: ignore[reportCallIssue]


@inlined
def load_eight(buffer, i):
    """The bytes ``buffer[i:i + 8]`` as one number, the first one lowest."""
    at = np.uint64(i)
    eight = np.uint64(0)
    for k in range(8):
        eight |= np.uint64(buffer[at + np.uint64(k)]) << np.uint64(8 * k)
    return eight


@inlined
def word_bytes(eight):
    """The top bit of each of eight bytes that is an ASCII letter, digit or underscore."""
    ascii_ = eight & ~TOPS
    letters = between(ascii_ | SMALL, 0x61, 0x7A)
    others = between(ascii_, 0x30, 0x39) | between(ascii_, 0x5F, 0x5F)
    return (letters | others) & TOPS & ~eight


@inlined
def between(bytes_, low, high):
    """The top bit of each byte from ``low`` to ``high``; all bytes below 0x80."""
    least = bytes_ + np.uint64(0x80 - low) * ONES
    return least & ~(bytes_ + np.uint64(0x7F - high) * ONES)


@kernel
def slot_of(keys, key):
    """Where ``key`` stands in the hash table ``keys`` of 2^n slots, or the free one for it."""
    mask = np.uint64(keys.size - 1)
    at = (key >> np.uint64(32)) & mask
    while keys[at] != 0 and keys[at] != key:
        at = (at + np.uint64(1)) & mask
    return at
