"""What lines and paragraphs say about a web page, and which lines C4 would keep."""

from functools import cache

import numpy as np
import pyarrow as pa
from numba import njit

from hornbook.data.arrow import text_buffers
from hornbook.data.characters import TABLE_SIZE, code_point, mix

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
SHORT_LINE = 30  # characters
MIN_WORDS, MAX_WORD = 5, 1000  # per line, as in the code that made C4
FNV_START, FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
NEWLINE, DOT, QUOTE, CURLY = 10, 46, 34, 123


@cache
def sentence_ends() -> np.ndarray:
    """bool per code point: does it end a sentence?"""
    table = np.zeros(TABLE_SIZE, np.bool_)
    table[[ord(mark) for mark in SENTENCE_MARKS]] = True
    return table


@cache
def phrase_table() -> tuple[np.ndarray, np.ndarray]:
    """C4's phrases as rows of bytes, and their lengths."""
    lengths = np.array([len(phrase) for phrase in C4_PHRASES])
    table = np.zeros((len(C4_PHRASES), lengths.max()), np.uint8)
    for row, phrase in enumerate(C4_PHRASES):
        table[row, : len(phrase)] = list(phrase.encode())
    return table, lengths


@njit(nogil=True, cache=True)
def measure_lines(buffer, start, end, ends, phrases, lengths, characters, out):
    """Fill ``out`` with the numbers that ``webstatistics.LINES`` names."""
    out[:] = 0
    line_ends = 2
    for i in range(start, end):
        line_ends += buffer[i] == NEWLINE
    size = 16
    while size < 2 * line_ends:
        size *= 2
    lines_seen, paragraphs_seen = np.zeros(size, np.uint64), np.zeros(size, np.uint64)
    lines = in_lines = paragraphs = paragraph_size = 0
    paragraph = FNV_START
    i = start
    while i < end:
        last = i
        while last < end and buffer[last] != NEWLINE:
            last += 1
        a, b = _strip(buffer, i, last)
        if a < b:
            lines += 1
            h, count = _hash_line(buffer, i, last)
            in_lines += count
            _line(buffer, a, b, count, ends, phrases, lengths, out)
            if _seen(lines_seen, h):
                out[4] += 1
                out[5] += count
            paragraph = mix(paragraph ^ h)
            paragraph_size += count + (paragraph_size > 0)
        if (a == b or last + 1 >= end) and paragraph_size:
            paragraphs += 1
            if _seen(paragraphs_seen, paragraph):
                out[6] += 1
                out[7] += paragraph_size
            paragraph, paragraph_size = FNV_START, 0
        i = last + 1
    for j in range(5):
        out[j] /= max(lines, 1)
    out[14] = out[5] / max(in_lines, 1)
    out[6] /= max(paragraphs, 1)
    out[5] /= characters
    out[7] /= characters


@njit(nogil=True, cache=True)
def _line(buffer, a, b, characters, ends, phrases, lengths, out):
    """Add one non-empty line, stripped to ``a:b``, to the sums."""
    out[0] += buffer[a] == 45 or _is(buffer, a, b, 0x2022)
    ellipsis = _ends_in_ellipsis(buffer, a, b)
    out[1] += ellipsis
    closing = _last_character(buffer, a, b)
    out[2] += closing < TABLE_SIZE and ends[closing]
    out[3] += characters <= SHORT_LINE
    closed, open_, lorem, curly = c4_line(buffer, a, b, phrases, lengths)
    out[12] = max(out[12], lorem)
    out[13] = max(out[13], curly)
    if open_:
        sentences = _sentences(buffer, a, b, ends)
        out[8] += closed
        out[9] += 1
        out[10] += sentences * closed
        out[11] += sentences


@njit(nogil=True, cache=True)
def c4_line(buffer, a, b, phrases, lengths):
    """What C4 makes of a line without blanks at its ends.

    ``(kept, kept if it needed no final punctuation, holds "lorem ipsum", holds "{")``
    """
    words = longest = run = 0
    allowed, lorem, curly = True, False, False
    for i in range(a, b):
        c = buffer[i]
        if c == 32 or c == 9:
            run = 0
        else:
            words += run == 0
            run += 1
            longest = max(longest, run)
        curly |= c == CURLY
        c |= 32
        if c == 108 or c == 106 or c == 116 or c == 112 or c == 99 or c == 117:
            for p in range(lengths.size):
                if c == phrases[p, 0] and _matches(
                    buffer, i, b, phrases[p], lengths[p]
                ):
                    lorem |= p == 0
                    allowed &= p == 0
    open_ = allowed and words >= MIN_WORDS and longest <= MAX_WORD
    last = buffer[b - 1]
    closed = last in (DOT, 33, 63, QUOTE, 39)
    dots = b - a >= 3 and last == DOT and buffer[b - 2] == DOT and buffer[b - 3] == DOT
    return open_ and closed and not dots, open_, lorem, curly


@njit(nogil=True, cache=True)
def _matches(buffer, i, b, phrase, length):
    if i + length > b:
        return False
    for j in range(length):
        c = buffer[i + j]
        if 65 <= c <= 90:
            c += 32
        if c != phrase[j]:
            return False
    return True


@njit(nogil=True, cache=True)
def _sentences(buffer, a, b, ends):
    """Sentences of a line: runs of sentence marks before a blank, a quote or the end."""
    count, i, open_ = 0, a, False
    while i < b:
        code, size = code_point(buffer, i, b)
        i += size
        if code >= TABLE_SIZE or not ends[code]:
            open_ = True
            continue
        wide = code > 0x2E80  # no blank follows these
        if open_ and (wide or i >= b or buffer[i] in (32, 9, 34, 39, 41)):
            count += 1
            open_ = False
    return count + open_


@njit(nogil=True, cache=True)
def _strip(buffer, a, b):
    while a < b and (buffer[a] == 32 or buffer[a] == 9 or buffer[a] == 13):
        a += 1
    while a < b and (buffer[b - 1] == 32 or buffer[b - 1] == 9 or buffer[b - 1] == 13):
        b -= 1
    return a, b


@njit(nogil=True, cache=True)
def _hash_line(buffer, a, b):
    """Hash and characters of the bytes ``a:b``."""
    h, characters = FNV_START, 0
    for i in range(a, b):
        h = (h ^ np.uint64(buffer[i])) * FNV_PRIME
        characters += (buffer[i] & 0xC0) != 0x80
    return mix(h), characters


@njit(nogil=True, cache=True)
def _seen(table, h):
    """Whether ``h`` was met before; remembers it."""
    key = h | np.uint64(1)
    mask = np.uint64(table.size - 1)
    at = (key >> np.uint64(1)) & mask
    while table[at] != 0 and table[at] != key:
        at = (at + np.uint64(1)) & mask
    met = table[at] == key
    table[at] = key
    return met


@njit(nogil=True, cache=True)
def _last_character(buffer, a, b):
    i = b - 1
    while i > a and (buffer[i] & 0xC0) == 0x80:
        i -= 1
    return code_point(buffer, i, b)[0]


@njit(nogil=True, cache=True)
def _is(buffer, a, b, code):
    return code_point(buffer, a, b)[0] == code


@njit(nogil=True, cache=True)
def _ends_in_ellipsis(buffer, a, b):
    if b - a >= 3 and buffer[b - 1] == DOT and buffer[b - 2] == DOT:
        return buffer[b - 3] == DOT
    return _last_character(buffer, a, b) == 0x2026


def keep_c4_lines(texts: pa.LargeStringArray, closed: bool) -> pa.LargeStringArray:
    """The texts without the lines that C4 drops; blank lines go with them.

    ``closed`` asks for final punctuation, as C4 does and FineWeb does not.
    """
    buffer, offsets = text_buffers(texts)
    data = np.empty(int(offsets[-1] - offsets[0]) + 1, np.uint8)
    ends = np.zeros(len(texts) + 1, np.int64)
    _keep_c4_lines(buffer, offsets, *phrase_table(), closed, data, ends)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(data[: ends[-1]])]
    return pa.Array.from_buffers(pa.large_string(), len(texts), buffers)


@njit(nogil=True, cache=True)
def _keep_c4_lines(buffer, offsets, phrases, lengths, closed, data, ends):
    size = 0
    for d in range(offsets.size - 1):
        first, i = size, offsets[d]
        while i < offsets[d + 1]:
            last = i
            while last < offsets[d + 1] and buffer[last] != NEWLINE:
                last += 1
            a, b = _strip(buffer, i, last)
            i = last + 1
            if a == b:
                continue
            strict, loose, _, _ = c4_line(buffer, a, b, phrases, lengths)
            if not (strict if closed else loose):
                continue
            if size > first:
                data[size] = NEWLINE
                size += 1
            data[size : size + b - a] = buffer[a:b]
            size += b - a
        ends[d + 1] = size
