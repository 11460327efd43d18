"""One look at each byte of a line: what every rule about lines wants to know of it."""

from functools import cache

import numpy as np
import pyarrow as pa

from hornbook.data.arrow import text_buffers
from hornbook.data.characters import SPACE, TABLE_SIZE, code_point, kinds, mix
from hornbook.data.jit import kernel

# Marks that end a sentence, in the scripts that have one.
SENTENCE_MARKS = ".!?。！？．｡﹒﹖﹗։؟۔।॥።፧။៕៖‼‽⁇⁈⁉᠃᠉᱾᱿꓿꘎꩝꩞"
C4_PHRASES = (  # a line that holds one is dropped; "lorem ipsum" drops the page
    "lorem ipsum",
    "javascript",
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)  # each is matched without regard to ASCII case
FNV_START, FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
NEWLINE = 10
# What a byte is to a line, one bit each.
BLANK, WORDLY, MARK, CURLY, WIDE, INNER = (np.uint8(1 << bit) for bit in range(6))


@cache
def line_tables() -> tuple[np.ndarray, ...]:
    """All that :func:`scan_line` looks things up in."""
    return byte_kinds(), character_kinds(), *phrase_table()


@cache
def byte_kinds() -> np.ndarray:
    """uint8 of 256: blank, letter or digit, sentence mark, "{", start or rest of a
    character of several bytes."""
    table = np.zeros(256, np.uint8)
    table[list(b" \t\r")] = BLANK
    table[[c for c in range(128) if chr(c).isalnum()]] = WORDLY
    table[list(b".!?")] = MARK
    table[ord("{")] = CURLY
    table[0xC0:] = WIDE
    table[0x80:0xC0] = INNER
    return table


@cache
def character_kinds() -> np.ndarray:
    """uint8 per code point: :data:`MARK` when it ends a sentence, :data:`BLANK` for space,
    else :data:`WIDE`."""
    table = np.where(kinds() == SPACE, BLANK, WIDE)
    table[[ord(mark) for mark in SENTENCE_MARKS]] = MARK
    return table


@cache
def phrase_table(
    phrases: tuple[str, ...] = C4_PHRASES,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Phrases (ASCII, small) as rows of bytes, their lengths, and where one may begin.

    The last is a bool per pair of letters: few pairs begin a phrase, so few places of a
    text are looked at twice.
    """
    lengths = np.array([len(phrase) for phrase in phrases])
    table = np.zeros((len(phrases), lengths.max()), np.uint8)
    begins = np.zeros(1 << 10, np.bool_)
    for row, phrase in enumerate(phrases):
        table[row, : len(phrase)] = list(phrase.encode())
        begins[(ord(phrase[0]) & 31) << 5 | (ord(phrase[1]) & 31)] = True
    return table, lengths, begins


@kernel
def scan_line(buffer, i, end, tables):
    """Everything the rules ask of the line that begins at ``i``, in one look at each byte:

    ``(its end, hash, characters, words, characters of the longest word, sentences, C4's
    phrases as bits, holds "{")``. A sentence has a letter or digit, and ends with the line
    or with a mark before a blank, a quote or a bracket.
    """
    kinds, wide, rows, lengths, begins = tables
    h, characters, words, longest, at = FNV_START, 0, 0, 0, -1
    sentences, phrases, before, open_, curly, closed_in = 0, 0, 0, False, False, -1
    while i < end and buffer[i] != NEWLINE:
        c = np.int64(buffer[i])
        kind, is_wide = kinds[c], c >= 0x80
        h = (h ^ np.uint64(c)) * FNV_PRIME
        i += 1
        if kind == INNER:
            continue
        if is_wide:
            code = code_point(buffer, i - 1, end)[0]
            kind = wide[code] if code < TABLE_SIZE else WIDE
        if kind == BLANK:
            if at >= 0:
                longest = max(longest, characters - at)
            characters, at, before = characters + 1, -1, 0
            continue
        if at < 0:
            words, at = words + 1, characters
        characters += 1
        if kind == WORDLY:
            open_ |= at != closed_in  # not in "so.[1]", behind the full stop
            c &= 31
            if begins[before << 5 | c]:
                phrases |= _phrases_at(buffer, i - 2, end, rows, lengths)
            before = c
            continue
        before = 0
        curly |= kind == CURLY
        open_ |= kind == WIDE
        if kind == MARK and open_ and (is_wide or _may_follow(buffer, i, end)):
            sentences, open_, closed_in = sentences + 1, False, at
    if at >= 0:
        longest = max(longest, characters - at)
    return i, mix(h), characters, words, longest, sentences + open_, phrases, curly


@kernel
def _may_follow(buffer, i, end):
    """Whether a sentence may end before ``buffer[i]``: a blank, a quote, a bracket."""
    return i >= end or buffer[i] in (32, 9, 10, 13, 34, 39, 41, 91)


@kernel
def _phrases_at(buffer, i, end, rows, lengths):
    """One bit per phrase that begins at ``i``."""
    found = 0
    for p in range(lengths.size):
        found |= matches(buffer, i, end, rows[p], lengths[p]) << p
    return found


@kernel
def matches(buffer, i, b, phrase, length):
    """Whether ``phrase`` stands at ``i``, without regard to ASCII case."""
    if i + length > b:
        return False
    for j in range(length):
        c = buffer[i + j]
        if 65 <= c <= 90:
            c += 32
        if c != phrase[j]:
            return False
    return True


@kernel
def strip(buffer, a, b):
    """``a:b`` without blanks at its ends."""
    while a < b and (buffer[a] == 32 or buffer[a] == 9 or buffer[a] == 13):
        a += 1
    while a < b and (buffer[b - 1] == 32 or buffer[b - 1] == 9 or buffer[b - 1] == 13):
        b -= 1
    return a, b


def keep_lines(texts: pa.LargeStringArray, kept: np.ndarray) -> pa.LargeStringArray:
    """The texts with only those lines that ``kept`` (bool, over all lines) says.

    A text without bytes has one line. Blank lines at a text's ends go, too.
    """
    buffer, offsets = text_buffers(texts)
    data = np.empty(int(offsets[-1] - offsets[0]) + len(texts) + 1, np.uint8)
    ends = np.zeros(len(texts) + 1, np.int64)
    _keep_lines(buffer, offsets, kept, data, ends)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(data[: ends[-1]])]
    return pa.Array.from_buffers(pa.large_string(), len(texts), buffers)


@kernel
def count_lines(buffer, offsets):
    """Lines of all texts: one more than newlines in each."""
    lines = offsets.size - 1
    for i in range(offsets[0], offsets[-1]):
        lines += buffer[i] == NEWLINE
    return lines


@kernel
def _keep_lines(buffer, offsets, kept, data, ends):
    size = line = 0
    for d in range(offsets.size - 1):
        first, i, end = size, offsets[d], offsets[d + 1]
        whole = True
        while i <= end:
            last = i
            while last < end and buffer[last] != NEWLINE:
                last += 1
            if kept[line] and (size > first or last > i):
                data[size : size + last - i] = buffer[i:last]
                size += last - i
                data[size] = NEWLINE
                size += 1
            whole &= kept[line]
            line += 1
            i = last + 1
        while size > first and data[size - 1] == NEWLINE:
            size -= 1
        if whole:  # as it was, byte for byte
            size = first + end - offsets[d]
            data[first:size] = buffer[offsets[d] : end]
        ends[d + 1] = size
